import { formatCidr } from '../packet/cidr.ts';
import type { FlagRule } from '../packet/flags.ts';
import { formatPort, formatPortRange, type PortRange, type PortSpec } from '../packet/port.ts';
import { withinOf } from '../policy/limits.ts';
import type { Reading } from './document.ts';
import type { DoorEntry } from './door.ts';
import { formatDuration } from './duration.ts';
import type { Fields, Found } from './read.ts';
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
  if (doors.length === 0 && root.doors.value !== undefined && root.decoys.value?.length === 0) {
    reading.fault(
      root.doors.spot,
      'no doors and no decoys',
      'at least one door or decoy',
      'without them nothing is watched',
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
    const mend = 'add the ports to knock on, such as knock: [7000/tcp, 8000/udp, 9000/tcp]';
    reading.fault(spot, 'neither knock nor one_time', 'one of the two', mend);
  }
  if (knock.value && oneTime.value)
    reading.fault(oneTime.spot, 'one_time beside knock', 'one of the two', 'remove one');
  for (const steps of [knock.value, close.value]) {
    steps?.forEach((step, index) => {
      const before = steps[index - 1]?.value;
      if (step.value === undefined || before === undefined || formatPort(before) !== formatPort(step.value))
        return;
      const mend = 'a repeated packet is one knock, so the second could never be made: change one';
      reading.fault(step.spot, `${formatPort(step.value)} twice in a row`, 'neighbours that differ', mend);
    });
  }
  if (dnat.value === true && forward.value === null) {
    reading.fault(
      dnat.spot,
      'dnat without forward',
      'dnat beside forward',
      'add the address that has the service, such as forward: 10.0.0.5',
    );
  }
  const to = forward.value?.address.family;
  if (to !== undefined && typeof grant.value === 'object' && grant.value.address.family !== to) {
    reading.fault(
      grant.spot,
      formatCidr(grant.value),
      `a network of IPv${to}, as forward is`,
      'otherwise nobody is ever let in',
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
      formatDuration(max.value),
      `at most ${text}, which is within`,
      'raise within or lower gap.max',
    );
  } else if (min >= longest) {
    reading.fault(
      gap.value.min.spot,
      formatDuration(min),
      `less than gap.max, which is ${longest} ms`,
      'lower gap.min',
    );
  } else if (min * (steps - 1) > within) {
    reading.fault(
      gap.value.min.spot,
      formatDuration(min),
      `gaps that together last at most ${text}, which is within`,
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
      const mend =
        'with the same knocks both would open: change one, or make one door of the two with both ports in opens';
      reading.fault(
        fields.knock.spot,
        `the same sequence as doors.${other.door}`,
        'a sequence of its own',
        mend,
      );
    }
    same.push({ door: name, what: 'knock', flags: fields.flags.value, tcp });
    opening.set(text, same);
  }
  for (const { name, fields } of doors) {
    const text = sequenceText(fields.close.value);
    if (text === undefined) continue;
    const other = clash(opening.get(text), fields.flags.value, text.includes('tcp'));
    if (other === undefined) continue;
    const mend = other.door === name ? 'turn it round: the knocks in reverse close' : 'change one';
    reading.fault(
      fields.close.spot,
      `the same sequence as doors.${other.door}.knock`,
      'a sequence of its own',
      mend,
    );
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
      const mend = `behind doors.${name} it is closed, in allow it is open to everyone: remove it from one`;
      reading.fault(
        spot,
        formatPortRange(value),
        `a port that is not in ${open.spot.key} (${formatPortRange(open.value)})`,
        mend,
      );
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
    const mend = 'whoever touches a decoy is struck: remove it here, or there';
    reading.fault(
      spot,
      `${formatPortRange(value)}, which is ${key} too`,
      'a port with nothing behind it',
      mend,
    );
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
  const found = `${strikes.value} strikes of each of ${sources.value} sources to remember`;
  reading.fault(
    strikes.given ? strikes.spot : sources.spot,
    found,
    `at most ${STRIKES_REMEMBERED_MAX} in all`,
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
    formatDuration(longest),
    `at least ${formatDuration(length)}, which is bans.for`,
    'raise bans.max or lower bans.for',
  );
}

/** A queued packet can only be dropped: whoever is to be answered must be copied to the daemon instead. */
function ofAnswer({ answer, listen }: Fields<RootShape>, reading: Reading): void {
  const source = listen.value?.source;
  if (answer.value !== 'closed' || source?.value !== 'nfqueue') return;
  reading.fault(
    answer.spot,
    'closed with listen.source: nfqueue',
    'drop, or closed with listen.source: nflog',
    'write "listen: { source: nflog }"',
  );
}

function meet(a: PortRange, b: PortRange): boolean {
  return a.protocol === b.protocol && a.first <= b.last && b.first <= a.last;
}

interface Sound<T> {
  readonly value: T;
  readonly spot: Found<T>['spot'];
}

function soundOf<T>(items: readonly Found<T>[] | null | undefined): Sound<T>[] {
  return (items ?? []).flatMap(({ value, spot }) => (value === undefined ? [] : [{ value, spot }]));
}
