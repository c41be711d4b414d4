import { readFileSync } from 'node:fs';
import { markUsed, parseSequence, readOneTime, whyUnmarkable } from '../one-time/file.ts';
import { formatAddress } from '../packet/address.ts';
import { formatCidr } from '../packet/cidr.ts';
import { formatPortRange, type PortSpec } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import type { DoorEvent } from './commit.ts';
import type { HookSubject } from './hook.ts';

/** Unused sequences below which the log warns. */
const FEW_LEFT = 5;

/** What a one-time file says now, and what an owner should hear of it. */
export interface OneTimeNews {
  readonly next: readonly PortSpec[];
  readonly warning: string | null;
}

/** Reads the sequence that opens a one-time door now. A file that can't be read leaves the door shut. */
export function nextSequence(door: Door): OneTimeNews {
  if (!('oneTime' in door.knock)) return { next: door.knock, warning: null };
  const path = door.knock.oneTime;
  try {
    const file = readOneTime(path);
    const why = whyUnmarkable(path);
    if (why === undefined) return oneTimeNews(door.name, path, file);
    return { next: [], warning: `door ${door.name} stays shut: its lines can't be marked used: ${why}` };
  } catch (error) {
    return { next: [], warning: `door ${door.name} stays shut: ${path} can't be read: ${sentenceOf(error)}` };
  }
}

/** Marks the sequence that has just opened the door used, durably. Throws where that fails: then it must not open. */
export function consumeSequence(door: Door, used: readonly PortSpec[]): OneTimeNews {
  if (!('oneTime' in door.knock)) return { next: door.knock, warning: null };
  const path = door.knock.oneTime;
  return oneTimeNews(door.name, path, markUsed(path, used));
}

/** What to do where a sequence could not be marked used. It has been on the wire, so it must not open later. */
export function notMarked({ name, knock }: Door, why: string): string {
  const path = 'oneTime' in knock ? knock.oneTime : '';
  const fix = 'let nfknock write the file and its folder, put a # before the line yourself, and reload';
  return `door ${name} did not open: its sequence can't be marked used in ${path} (${why}); ${fix}`;
}

/** What its owner should hear of a file as it is now. */
export function oneTimeNews(name: string, path: string, file: ReturnType<typeof readOneTime>): OneTimeNews {
  const { next, left, faults } = file;
  if (left === 0) {
    return {
      next,
      warning: `door ${name} stays shut: no unused sequence is left in ${path}; add lines to it and reload`,
    };
  }
  if (faults.length > 0) {
    return {
      next,
      warning: `${path}: lines ${faults.slice(0, 10).join(', ')} are not valid sequences; skipped`,
    };
  }
  return {
    next,
    warning: left < FEW_LEFT ? `door ${name}: only ${left} unused sequences are left in ${path}` : null,
  };
}

/** Every port that some unused line of a one-time file knocks on, so that the rules need not change at each use. */
export function oneTimePortsOf(door: Door): readonly PortSpec[] {
  if (!('oneTime' in door.knock)) return door.knock;
  try {
    const lines = readFileSync(door.knock.oneTime, 'utf8').split('\n');
    const ports = lines.filter((line) => !line.startsWith('#')).flatMap((line) => parseSequence(line) ?? []);
    return [...new Map(ports.map((port) => [`${port.port}/${port.protocol}`, port])).values()];
  } catch {
    return [];
  }
}

export function doorOf(config: Config, name: string): Door | undefined {
  return config.doors.find((door) => door.name === name);
}

/** What a door's command is told. In a fleet the member is this machine (`own`), unless another said so. */
export function hookSubject(event: DoorEvent, own = ''): HookSubject {
  return {
    ip: formatAddress(event.source),
    door: event.door,
    ports: event.ports.map(formatPortRange).join(','),
    key: event.key ?? '',
    person: event.person ?? '',
    member: event.origin ?? own,
  };
}

export function granteeText(grantee: DoorEvent['grantee']): string {
  return grantee === 'any' ? 'any' : formatCidr(grantee);
}
