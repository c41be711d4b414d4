import { takesCode } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import type { OneTimeFacts, Warning } from './warning.ts';
import { ofBans, ofLimits } from './weak-bans.ts';
import { ofCode } from './weak-codes.ts';
import { ofKnocker, ofService } from './weak-door.ts';
import { ofFleet } from './weak-fleet.ts';
import { ofOneTime, ofOthers, ofSequence, ofSharing } from './weak-sequence.ts';

/** Everything that could be stronger, door by door and then the rest. `oneTime` is by door. */
export function warnings(config: Config, oneTime: ReadonlyMap<string, OneTimeFacts> = new Map()): Warning[] {
  const found: Warning[] = [];
  for (const door of config.doors) {
    const facts = oneTime.get(door.name);
    const steps = 'oneTime' in door.knock ? (facts?.next ?? []) : door.knock;
    if (facts !== undefined) found.push(...ofOneTime(door, facts));
    found.push(
      ...(takesCode(door) ? ofCode(door, steps, config) : ofSequence(door, steps, config)),
      ...ofService(door, steps),
      ...ofKnocker(door, steps, config),
      ...ofOthers(door, steps, config),
      ...ofSharing(door, steps, config),
    );
  }
  return [...found, ...ofBans(config), ...ofLimits(config), ...ofFleet(config)];
}
