import { formatCidr } from '../packet/cidr.ts';
import type { FlagRule } from '../packet/flags.ts';
import { formatPort, formatPortRange, meet, type PortSpec } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';
import { withinOf } from '../policy/limits.ts';
import { ofCodes } from './code-checks.ts';
import type { Reading } from './document.ts';
import type { DoorEntry } from './doors.ts';
import { formatDuration } from './duration.ts';
import type { Fields } from './field.ts';
import { ofKeys } from './key-checks.ts';
import type { Found } from './read.ts';
import type { RootShape } from './schema.ts';

/** Says where sound values contradict each other. Faulty values, told already, take no part. */
export function conflicts(root: Fields<RootShape>, reading: Reading): void {
  const doors = root.doors.value ?? [];
  for (const door of doors) ofDoor(door, reading);
  ofSequences(doors, reading);
  ofServices(root, doors, reading);
  ofDecoys(root, doors, reading);
  ofBans(root, reading);
  ofMemory(root, reading);
  ofAnswer(root, reading);
  ofKeys(root, doors, reading);
  ofCodes(root, doors, reading);
  ofFleet(root, doors, reading);
  if (doors.length === 0 && root.doors.value !== undefined && root.decoys.value?.length === 0) {
    reading.fault(
      root.doors.spot,
      'there are no doors and no decoys, so nothing is watched',
      'add a door or a decoy',
    );
  }
}

/**
 * The longest gap in effect: `gap.max`, else 8 s, or half of a given `within` where that is longer; never over
 * `within`.
 */
export function gapMaxOf(gap: Found<number>, within: number | null): number {
  const value = gap.value ?? within ?? 0;
  return gap.given || within === null ? value : Math.min(Math.max(value, Math.floor(within / 2)), within);
}

function ofDoor({ fields, spot }: DoorEntry, reading: Reading): void {
  const { knock, one_time: oneTime, dnat, forward, grant, close } = fields;
  if (knock.value === null && oneTime.value === null) {
    const fix = 'add the ports to knock on, for example knock: [7000/tcp, 8000/udp, 9000/tcp]';
    reading.fault(spot, 'the door has neither knock nor one_time', fix);
  }
  if (knock.value && oneTime.value)
    reading.fault(oneTime.spot, 'the door has both knock and one_time', 'remove one of the two');
  for (const steps of [knock.value, close.value]) {
    steps?.forEach((step, index) => {
      const before = steps[index - 1]?.value;
      if (step.value === undefined || before === undefined || formatPort(before) !== formatPort(step.value))
        return;
      const problem = `${formatPort(step.value)} stands twice in a row, and a repeated packet is one knock`;
      reading.fault(step.spot, problem, 'change one of the two');
    });
  }
  if (dnat.value === true && forward.value === null) {
    reading.fault(
      dnat.spot,
      'dnat needs forward, which is missing',
      'add the address that has the service, for example forward: 10.0.0.5',
    );
  }
  const to = forward.value?.address.family;
  if (to !== undefined && typeof grant.value === 'object' && grant.value.address.family !== to) {
    reading.fault(
      grant.spot,
      `${formatCidr(grant.value)} is not IPv${to}, as forward is, so nobody would be let in`,
      `write a network of IPv${to}`,
    );
  }
  ofTimes(fields, reading);
}

function ofTimes({ gap, within: given, knock }: DoorEntry['fields'], reading: Reading): void {
  const min = gap.value?.min.value;
  if (gap.value === undefined || min === undefined || given.value === undefined) return;
  const { max } = gap.value;
  if (max.value === undefined) return;
  const longest = gapMaxOf(max, given.value);
  const steps = knock.value?.length ?? 1;
  const within = withinOf(given.value, steps);
  const text = formatDuration(within);
  if (max.given && max.value > within) {
    reading.fault(
      max.spot,
      `${formatDuration(max.value)} is longer than within, which is ${text}`,
      'raise within or lower gap.max',
    );
  } else if (min >= longest) {
    reading.fault(
      gap.value.min.spot,
      `${formatDuration(min)} is not less than gap.max, which is ${formatDuration(milliseconds(longest))}`,
      'lower gap.min',
    );
  } else if (min * (steps - 1) > within) {
    reading.fault(
      gap.value.min.spot,
      `gaps of ${formatDuration(min)} together last longer than within, which is ${text}`,
      'lower gap.min or raise within',
    );
  }
}

interface Known {
  readonly door: string;
  readonly what: 'knock' | 'close';
  readonly flags: FlagRule | undefined;
  readonly tcp: boolean;
}

/** No two sequences that open may be the same, nor one that closes the same as one that opens. */
function ofSequences(doors: readonly DoorEntry[], reading: Reading): void {
  const opening = new Map<string, Known[]>();
  const clash = (
    known: readonly Known[] | undefined,
    flags: FlagRule | undefined,
    tcp: boolean,
  ): Known | undefined => known?.find((other) => !tcp || overlap(other.flags, flags));
  for (const { name, fields } of doors) {
    const text = sequenceText(fields.knock.value);
    if (text === undefined) continue;
    const same = opening.get(text) ?? [];
    const tcp = text.includes('tcp');
    const other = clash(same, fields.flags.value, tcp);
    if (other !== undefined) {
      const fix = 'change one, or make one door of the two with both ports in opens';
      reading.fault(fields.knock.spot, `the sequence is the same as that of doors.${other.door}`, fix);
    }
    same.push({ door: name, what: 'knock', flags: fields.flags.value, tcp });
    opening.set(text, same);
  }
  for (const { name, fields } of doors) {
    const text = sequenceText(fields.close.value);
    if (text === undefined) continue;
    const other = clash(opening.get(text), fields.flags.value, text.includes('tcp'));
    if (other === undefined) continue;
    const fix = other.door === name ? 'change it, for example to the knocks in reverse' : 'change one';
    reading.fault(fields.close.spot, `the sequence is the same as doors.${other.door}.knock`, fix);
  }
}

function sequenceText(steps: readonly Found<PortSpec>[] | null | undefined): string | undefined {
  if (!steps || steps.length === 0) return undefined;
  const texts = steps.map(({ value }) => (value === undefined ? undefined : formatPort(value)));
  return texts.includes(undefined) ? undefined : texts.join(' ');
}

/** Whether a packet can match both rules. */
function overlap(a: FlagRule | undefined, b: FlagRule | undefined): boolean {
  return a === undefined || b === undefined || ((a.set & b.clear) === 0 && (b.set & a.clear) === 0);
}

function ofServices(root: Fields<RootShape>, doors: readonly DoorEntry[], reading: Reading): void {
  const allowed = soundOf(root.allow.value);
  for (const { name, fields } of doors) {
    for (const { value, spot } of fields.opens.value ?? []) {
      const open = value === undefined ? undefined : allowed.find((each) => meet(each.value, value));
      if (value === undefined || open === undefined) continue;
      const problem = `${formatPortRange(value)} is open to everyone by ${open.spot.key} (${formatPortRange(open.value)})`;
      reading.fault(spot, problem, `remove it there, or from doors.${name}.opens`);
    }
  }
}

/** A port named as a decoy must have nothing behind it. In a range or `all` what has is left out. */
function ofDecoys(root: Fields<RootShape>, doors: readonly DoorEntry[], reading: Reading): void {
  if (root.decoys.value === 'all') return;
  const used = [...soundOf(root.allow.value)];
  for (const { fields } of doors) {
    for (const steps of [fields.knock.value, fields.close.value]) {
      for (const { value, spot } of soundOf(steps))
        used.push({ value: { ...value, first: value.port, last: value.port }, spot });
    }
    used.push(...soundOf(fields.opens.value));
  }
  const singles = new Map<string, string>();
  for (const { value, spot } of used)
    if (value.first === value.last && !singles.has(formatPortRange(value)))
      singles.set(formatPortRange(value), spot.key);
  const ranges = used.filter(({ value }) => value.first !== value.last);
  for (const { value, spot } of soundOf(root.decoys.value)) {
    if (value.first !== value.last) continue;
    const key =
      singles.get(formatPortRange(value)) ?? ranges.find((each) => meet(each.value, value))?.spot.key;
    if (key === undefined) continue;
    const problem = `${formatPortRange(value)} is ${key} too, and a decoy has nothing behind it`;
    reading.fault(spot, problem, 'remove it here, or there');
  }
}

/** Strikes remembered of all sources together; each takes 8 bytes. */
const STRIKES_REMEMBERED_MAX = 67_108_864;

function ofMemory(root: Fields<RootShape>, reading: Reading): void {
  const strikes = root.bans.value?.strikes;
  const sources = root.memory.value?.sources;
  if (strikes?.value === undefined || sources?.value === undefined) return;
  if (strikes.value * sources.value <= STRIKES_REMEMBERED_MAX) return;
  const most = Math.floor(STRIKES_REMEMBERED_MAX / sources.value);
  reading.fault(
    strikes.given ? strikes.spot : sources.spot,
    `${strikes.value} strikes of each of ${sources.value} sources are more than the ${STRIKES_REMEMBERED_MAX} that fit in memory`,
    `lower bans.strikes to ${most}, or memory.sources`,
  );
}

function ofBans(root: Fields<RootShape>, reading: Reading): void {
  const bans = root.bans.value;
  const length = bans?.for.value;
  const longest = bans?.max.value;
  if (bans === undefined || length === undefined || longest === undefined || !bans.max.given) return;
  if (longest >= length) return;
  reading.fault(
    bans.max.spot,
    `${formatDuration(longest)} is less than bans.for, which is ${formatDuration(length)}`,
    'raise bans.max or lower bans.for',
  );
}

/** A queued packet can only be dropped: anyone who is to be answered must be copied to the daemon instead. */
function ofAnswer({ answer, listen }: Fields<RootShape>, reading: Reading): void {
  const source = listen.value?.source;
  if (answer.value !== 'closed' || source?.value !== 'nfqueue') return;
  reading.fault(
    answer.spot,
    'closed does not work with listen.source: nfqueue, which can only drop',
    'write "listen: { source: nflog }", or "answer: drop"',
  );
}

/** Another member opens a door here by its name. */
function ofFleet({ fleet }: Fields<RootShape>, doors: readonly DoorEntry[], reading: Reading): void {
  const grants = fleet.value?.accept.value?.grants.value;
  if (typeof grants !== 'object') return;
  for (const { value, spot } of soundOf(grants)) {
    if (doors.some(({ name }) => name === value)) continue;
    reading.fault(spot, `there is no door ${value}`, 'correct it, or add the door');
  }
}

export interface Sound<T> {
  readonly value: T;
  readonly spot: Found<T>['spot'];
}

export function soundOf<T>(items: readonly Found<T>[] | null | undefined): Sound<T>[] {
  return (items ?? []).flatMap(({ value, spot }) => (value === undefined ? [] : [{ value, spot }]));
}
