import type { Config } from '../policy/config.ts';
import { type Warning, warning } from './warning.ts';

/** What an owner should know of a machine that is one of several. */
export function ofFleet({ fleet, doors }: Config): Warning[] {
  if (fleet === null) return [];
  const found: Warning[] = [];
  const once = doors.find(({ knock }) => 'oneTime' in knock);
  if (once !== undefined && fleet.engine.kind === 'sentinels' && fleet.copies === 0)
    found.push(
      warning(
        'fleet-copies',
        'fleet.copies',
        `Sentinels may promote a replica that has not heard of a line's use, and door ${once.name} would open twice by it`,
        'write the number of replicas that can be promoted',
      ),
    );
  if (fleet.share.includes('knocks')) found.push(...ofKnocks(doors));
  for (const { name, onOpen, onClose } of doors) {
    const key = onOpen === null ? 'on_close' : 'on_open';
    const argv = [...(onOpen ?? []), ...(onClose ?? [])];
    if (argv.length === 0 || argv.some((each) => each.includes('%MEMBER%'))) continue;
    found.push(
      warning(
        'fleet-hook',
        `doors.${name}.${key}`,
        'it runs on every member of the fleet, for one opening',
        'add %MEMBER%, which says where the door was knocked at, and let the command look at it',
      ),
    );
  }
  return found;
}

function ofKnocks(doors: Config['doors']): readonly Warning[] {
  const short = doors.filter(({ knock }) => !('oneTime' in knock) && knock.length === 1);
  return [
    warning(
      'fleet-knocks',
      'fleet.share',
      'a wrong knock at one member breaks no attempt at another at once, so a guesser gains as much as by `tolerate: 1`, and strikes of packets beyond the budget count for each member',
      'let all knocks of a client come to one member where the router is yours (net.ipv6.fib_multipath_hash_policy=3), and leave knocks out',
    ),
    ...short.map(({ name }) =>
      warning(
        'fleet-one-knock',
        `doors.${name}.knock`,
        'one knock opens it, wherever it comes: sharing knocks does nothing for it',
        'knock on three ports or more, or leave knocks out of fleet.share',
      ),
    ),
  ];
}
