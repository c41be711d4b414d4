import { createHmac } from 'node:crypto';
import type { Limits } from '../fleet/budget.ts';
import type { Register } from '../fleet/register.ts';
import type { Config } from '../policy/config.ts';
import type { Fleet } from '../policy/fleet.ts';

/** How much is taken of each other member. */
export function limitsOf({ accept: { each } }: Fleet): Limits {
  const { bans, bansPerSecond, grantsPerMinute } = each;
  return { bans, bansPerSecond, grantsPerMinute };
}

/** Whether this member is believed in anything. */
export function isBelieved({ accept: { from } }: Fleet, member: string): boolean {
  return from === 'all' || from.includes(member);
}

/** Whether it is in this. */
export function accepts(fleet: Fleet, member: string, register: Register): boolean {
  const { accept } = fleet;
  if (!isBelieved(fleet, member)) return false;
  if (register.kind !== 'grant') return accept.bans !== 'none';
  return accept.grants === 'all' || (accept.grants !== 'none' && accept.grants.includes(register.door));
}

/** A MAC of each door's definition, as far as knocks are judged by it. */
export function describeDoors(doors: Config['doors'], secret: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    doors.map((door) => {
      const { onOpen: _open, onClose: _close, ...judged } = door;
      // Files of sequences differ by what is left in them.
      const text = JSON.stringify('oneTime' in door.knock ? { ...judged, knock: 'one-time' } : judged);
      return [door.name, createHmac('sha256', secret).update(text).digest('hex').slice(0, 16)];
    }),
  );
}
