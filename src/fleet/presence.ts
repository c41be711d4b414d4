import { isDoorName } from '../policy/door-name.ts';
import type { Presence } from './host.ts';

/** Bytes of what a member says of itself: another's text is read whole. */
const TEXT_MAX = 65_536;
/** Doors of one member that are compared. */
const DOORS_MAX = 1_024;
/** The longest version and MAC that are shown to people. */
const WORD_MAX = 64;
const NUMBERS = ['started', 'now', 'number', 'offset', 'bans', 'grants'] as const;

/** What another says of itself; undefined where it is not what a member says. */
export function parsePresence(text: string): Presence | undefined {
  if (text.length > TEXT_MAX) return undefined;
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(said) || !isWord(said['version']) || !isRecord(said['doors'])) return undefined;
  const [started, now, number, offset, bans, grants] = NUMBERS.map((name) => said[name]);
  if (![started, now, number, offset, bans, grants].every((value) => Number.isFinite(value)))
    return undefined;
  const { uncertainty } = said;
  if (uncertainty !== undefined && !(typeof uncertainty === 'number' && uncertainty >= 0)) return undefined;
  const doors: Record<string, string> = {};
  const entries = Object.entries(said['doors']);
  if (entries.length > DOORS_MAX) return undefined;
  for (const [door, mac] of entries) {
    if (!isDoorName(door) || !isWord(mac)) return undefined;
    doors[door] = mac;
  }
  return {
    ...{ version: said['version'], started: Number(started), now: Number(now), number: Number(number) },
    ...{ offset: Number(offset), bans: Number(bans), grants: Number(grants), doors },
    ...(uncertainty === undefined ? {} : { uncertainty }),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value.length <= WORD_MAX;
}
