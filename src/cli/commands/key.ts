import { quoted } from '../../text/plain.ts';
import { fail } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';

export interface KeyOptions extends CommonOptions {
  /** The key file, above what the configuration says. */
  readonly keys?: string;
  readonly door?: readonly string[];
  readonly person?: string;
  readonly ssh?: string;
  readonly fwknop?: boolean;
  readonly secret?: boolean;
  readonly totp?: boolean;
  readonly expires?: string;
  readonly host?: string;
  readonly out?: string;
  readonly qr?: boolean;
  readonly shell?: boolean;
  readonly cut?: boolean;
  readonly grace?: string;
  readonly new?: boolean;
}

/** What belongs to one action, and to no other. */
const OWN: Readonly<Record<string, readonly (keyof KeyOptions)[]>> = {
  new: ['door', 'person', 'ssh', 'fwknop', 'secret', 'totp', 'expires', 'host', 'out', 'qr', 'shell'],
  list: ['json'],
  revoke: ['cut'],
  rotate: ['grace', 'ssh', 'host', 'out', 'qr', 'shell'],
  realm: ['new', 'out'],
};

/** `nfknock key new|list|revoke|rotate|realm`. */
export async function command(
  [action = '', name, ...more]: readonly string[],
  options: KeyOptions,
): Promise<ExitCode> {
  try {
    const own = Object.hasOwn(OWN, action) ? OWN[action] : undefined;
    if (own === undefined)
      throw usage(`${quoted(action)} is not done to keys: write new, list, revoke, rotate or realm`);
    const foreign = Object.values(OWN)
      .flat()
      .find((option) => options[option] !== undefined && !own.includes(option));
    if (foreign !== undefined) throw usage(`--${foreign} is not for "key ${action}": leave it out`);
    if (more.length > 0) throw usage(`one key at a time: leave ${quoted(more.join(' '))} out`);
    switch (action) {
      case 'list': {
        if (name !== undefined) throw usage('all keys are listed: leave the name out');
        return await (await import('../keys/list-keys.ts')).listKeys(options);
      }
      case 'realm': {
        if (name !== undefined || options.new !== true)
          throw usage('one realm is for all keys: "nfknock key realm --new" makes another');
        return await (await import('../keys/change-keys.ts')).newRealm(options);
      }
      case 'new':
        return await (await import('../keys/change-keys.ts')).newKey(name, options);
      case 'rotate':
        return await (await import('../keys/change-keys.ts')).rotateKey(name, options);
      default:
        return await (await import('../keys/revoke-key.ts')).revokeKey(name, options);
    }
  } catch (error) {
    return fail(error);
  }
}
