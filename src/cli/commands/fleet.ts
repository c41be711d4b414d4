import { ENGINE_USERS, isMemberName, MEMBER_NAME_MAX } from '../../policy/fleet.ts';
import { quoted } from '../../text/plain.ts';
import { fail } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';

export interface FleetOptions extends CommonOptions {
  readonly group?: string;
  readonly passwordFile?: string;
  readonly user?: string;
}

/** What belongs to one action, and to no other. */
const OWN: Readonly<Record<string, readonly (keyof FleetOptions)[]>> = {
  '': ['json'],
  check: ['json'],
  users: ['json', 'group', 'passwordFile'],
  forget: ['group', 'passwordFile', 'user'],
};
const FLAGS: Readonly<Partial<Record<keyof FleetOptions, string>>> = { passwordFile: 'password-file' };

/** `nfknock fleet [check|users|forget]`. */
export async function command(
  [action = '', ...names]: readonly string[],
  options: FleetOptions,
): Promise<ExitCode> {
  try {
    const own = Object.hasOwn(OWN, action) ? OWN[action] : undefined;
    if (own === undefined)
      throw usage(
        `${quoted(action)} is not done to a fleet: write check, users or forget, or nothing to list the members`,
      );
    const foreign = Object.values(OWN)
      .flat()
      .find((option) => options[option] !== undefined && !own.includes(option));
    if (foreign !== undefined)
      throw usage(`--${FLAGS[foreign] ?? foreign} is not for "${`fleet ${action}`.trim()}": leave it out`);
    for (const name of [...names, ...(options.group === undefined ? [] : [options.group])])
      if (!isMemberName(name))
        throw usage(
          `${quoted(name)} can't be the name of a member or a group: write 1 to ${MEMBER_NAME_MAX} of a-z, 0-9 and -, not - first`,
        );
    const user = names.find((name) => ENGINE_USERS.includes(name));
    if (user !== undefined)
      throw usage(
        `${quoted(user)} is a user of the engine's own (docs/fleet.md), whose rights would be gone: call the member otherwise`,
      );
    switch (action) {
      case '':
        return await (await import('../fleet/members.ts')).listMembers(options);
      case 'users':
        if (names.length === 0) throw usage('name the members, for example: nfknock fleet users edge1 edge2');
        return await (await import('../fleet/users.ts')).printUsers([...new Set(names)], options);
      case 'forget': {
        const [name, ...more] = names;
        if (name === undefined || more.length > 0)
          throw usage('name one member, for example: nfknock fleet forget edge3');
        return await (await import('../fleet/forget.ts')).forget(name, options);
      }
      default:
        if (names.length > 0)
          throw usage(`the engine is checked as this member: leave ${quoted(names.join(' '))} out`);
        return await (await import('../fleet/check.ts')).checkFleet(options);
    }
  } catch (error) {
    return fail(error);
  }
}
