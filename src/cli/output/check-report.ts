import { formatDuration } from '../../config/duration.ts';
import type { InputDefaults } from '../../machine/input-default.ts';
import { formatCidr } from '../../packet/cidr.ts';
import { formatPort, formatPortRange, type PortSpec } from '../../packet/port.ts';
import { milliseconds } from '../../packet/time.ts';
import type { Config, Door } from '../../policy/config.ts';
import { withinOf } from '../../policy/limits.ts';
import { isPublished } from '../../policy/published.ts';
import type { Key } from '../../spa/key.ts';
import type { OrdersOpened } from '../../strength/guesser.ts';
import { type Guessing, MANY_SOURCES, type Method } from '../../strength/guessing.ts';
import type { DoorScans, ScanResult } from '../../strength/scans.ts';
import { type Verdict, verdictOf, weakest } from '../../strength/verdict.ts';
import type { Warning } from '../../strength/warning.ts';
import { keyBits } from '../../strength/weak-keys.ts';
import { keyLimits } from './key-words.ts';

/** What `check` found out about one door. */
export interface DoorReport {
  readonly door: Door;
  /** A key of the door that can be guessed by anyone who has read one of its packets; null: there is none. */
  readonly weakKey: string | null;
  /** The sequence in force; empty: a one-time file without one. */
  readonly knock: readonly PortSpec[];
  /** Sequences left in a one-time file; null: the door has none. */
  readonly left: number | null;
  readonly guessing: Guessing | null;
  readonly scans: DoorScans | null;
  /** What a guesser gains who knows the ports; null: not known. */
  readonly orders: OrdersOpened | null;
}

export interface Report {
  readonly file: string;
  readonly config: Config;
  readonly doors: readonly DoorReport[];
  /** Null: nobody here may read the key file. */
  readonly keys: readonly Key[] | null;
  readonly warnings: readonly Warning[];
  readonly inputDefaults: InputDefaults;
}

/** `file: warning: key: text; fix` in one line, as compilers do. */
export function formatWarning({ key, text, fix }: Warning, file: string): string {
  return `${file}: warning: ${key}: ${text}; ${fix}`;
}

/** The report as data. Times are seconds; null: longer than a number holds. */
export function jsonReport({ file, doors, keys, warnings, inputDefaults }: Report): unknown {
  return {
    ok: true,
    file,
    verdict: weakest(doors.map(doorVerdict)),
    // What this machine does with packets to ports that nobody named; null: unknown.
    input: { ipv4: word(inputDefaults[4]), ipv6: word(inputDefaults[6]) },
    doors: doors.map(jsonDoor),
    keys: keys?.map(jsonKey) ?? null,
    warnings,
  };
}

function jsonDoor(each: DoorReport): unknown {
  const { door, knock, left, guessing, scans, orders } = each;
  return {
    name: door.name,
    verdict: doorVerdict(each),
    steps: knock.length,
    opens: door.opens.map(formatPortRange),
    grant_mark: door.grantMark,
    one_time_left: left,
    guessing: guessing === null ? null : jsonGuessing(guessing),
    scans,
    orders: orders === null ? null : jsonOrders(orders),
  };
}

/** A published example is the first that is tried, however long a guesser without it would need. */
function doorVerdict({ knock, left, guessing, scans, weakKey }: DoorReport): Verdict {
  if (weakKey !== null) return 'weak';
  return left === null && isPublished(knock) ? 'weak' : verdictOf(guessing, scans);
}

function word(fate: InputDefaults[4]): string | null {
  return fate?.toLowerCase() ?? null;
}

function jsonOrders({ ports, orders, opened, isMost }: OrdersOpened): unknown {
  return { ports, orders, opened, at_most: isMost };
}

function jsonGuessing({ method, sequences, bits, alone, many, aloneWithoutBans }: Guessing): unknown {
  // What is said of a second's fraction, or of a sequence's, is the arithmetic's noise.
  // Digits beyond the sixth of a number of years or sequences are noise.
  const rounded = (value: number): number =>
    value < 1e15 ? Math.round(value) : Number(value.toPrecision(6));
  const finite = (value: number): number | null => (Number.isFinite(value) ? rounded(value) : null);
  return {
    method,
    sequences: finite(sequences),
    bits: Math.round(bits * 100) / 100,
    seconds_alone: finite(alone),
    [`seconds_from_${MANY_SOURCES}`]: finite(many),
    seconds_alone_without_bans: finite(aloneWithoutBans),
  };
}

export function formatReport({ file, config, doors, keys, warnings }: Report): string {
  const count =
    config.doors.length === 0
      ? 'no doors'
      : config.doors.length === 1
        ? 'one door'
        : `${config.doors.length} doors`;
  const verdict = weakest(doors.map(doorVerdict));
  const lines = [`${file}: ${verdict}: ${count}, ${decoysText(config)}.`];
  for (const each of doors) lines.push('', ...doorLines(each));
  if (keys !== null && keys.length > 0) lines.push('', ...keys.map(keyLine));
  const said =
    warnings.length === 1 ? 'One warning, with its fix' : `${warnings.length} warnings, each with its fix`;
  lines.push('', warnings.length === 0 ? 'No warnings.' : `${said}, on standard error.`);
  return `${lines.join('\n')}\n`;
}

function keyLine(key: Key): string {
  const bits = keyBits(key.credential);
  const kind = `${key.credential.kind}${bits === null ? '' : `, ${bits} bits at most`}`;
  const limits = keyLimits(key).map((each) => `, ${each}`);
  return `key ${key.name}: ${kind}; opens ${key.doors.join(', ')}${limits.join('')}`;
}

function jsonKey(key: Key): unknown {
  const { name, person, credential, doors } = key;
  return { name, person, kind: credential.kind, bits: keyBits(credential), doors, limits: keyLimits(key) };
}

function decoysText({ decoys }: Config): string {
  if (decoys === 'all') return 'every other port is a decoy';
  if (decoys.length === 0) return 'no decoys';
  return decoys.length === 1 ? 'one decoy' : `${decoys.length} decoys`;
}

function doorLines(each: DoorReport): string[] {
  const { door, knock, left, guessing, scans, orders } = each;
  const lines = [`door ${door.name}: ${doorVerdict(each)}`];
  const line = (name: string, text: string): void => void lines.push(`  ${name.padEnd(12)} ${text}`);
  line('knock', knockText(knock, left));
  line(
    'opens',
    `${door.opens.length === 0 ? 'nothing' : door.opens.map(formatPortRange).join(', ')} for ${formatDuration(door.for)} to ${granteeText(door)}`,
  );
  if (door.grantMark !== null) {
    const mark = `0x${door.grantMark.toString(16)}`;
    line('marks', `${mark} on what it lets in, and on its knocks, before tables of others judge`);
  }
  if (knock.length > 1) line('in time', paceText(door, knock.length));
  if (guessing !== null) {
    const [one, more] = METHODS[guessing.method];
    line(
      'to guess',
      `${numberText(guessing.sequences)} ${Math.round(guessing.sequences) === 1 ? one : more}: ${guessing.bits.toFixed(1)} bits`,
    );
    line(
      'even chance',
      `${spanText(guessing.alone)} from one source, ${spanText(guessing.many)} from ${numberText(MANY_SOURCES)} sources; without bans ${spanText(guessing.aloneWithoutBans)} from one`,
    );
  }
  if (orders !== null && orders.ports > 1) line('ports known', ordersText(orders));
  if (scans !== null && knock.length > 0) {
    line('scan up', scanText(scans.up));
    line('scan down', scanText(scans.down));
    line('nmap order', scanText(scans.nmap));
    line('random order', scanText(scans.random));
  }
  return lines;
}

function knockText(knock: readonly PortSpec[], left: number | null): string {
  if (left === null && knock.length === 0) return 'none: it opens by key alone';
  if (left === null) return knock.map(formatPort).join(', ');
  if (left === 0) return 'no one-time sequence left: the door stays shut';
  return `${left} one-time ${left === 1 ? 'sequence' : 'sequences'} left, the next of ${knock.length} steps`;
}

/** Singular and plural. */
const METHODS: Readonly<Record<Method, readonly [one: string, more: string]>> = {
  exact: ['sequence of ports', 'sequences of ports'],
  prefix: ['try', 'tries, one step after the other since a ban can be seen'],
  order: [
    'order of the knock ports, which a scan lists: see the warning about "answer"',
    'orders of the knock ports, which a scan lists: see the warning about "answer"',
  ],
  code: [
    'one-time code',
    'one-time codes, by who has read the fixed knocks, for each person whose codes open it',
  ],
  scan: ['scan in random order', 'scans in random order, since not every port is watched'],
};

/** What one address gains by the best stream of knocks, where the ports are known and their order is not. */
function ordersText({ ports, orders, opened, isMost }: OrdersOpened): string {
  const figure = isMost ? `${opened} at best` : `at least ${opened}`;
  return `of the ${orders} orders of its ${ports} ports, one address opens ${figure} before it is banned`;
}

/** The quickest and the slowest client, at an even pace, that the door still opens to. */
function paceText({ gap, within }: Door, steps: number): string {
  const whole = withinOf(within, steps);
  const slowest = formatDuration(milliseconds(Math.floor(Math.min(gap.max, whole / (steps - 1)))));
  const quickest = gap.min === 0 ? 'at once' : `${formatDuration(gap.min)} apart`;
  return `knocks sent ${quickest} or up to ${slowest} apart, ${formatDuration(whole)} for ${steps === 2 ? 'both' : `all ${steps}`}`;
}

function granteeText({ grant }: Door): string {
  if (grant === 'source') return 'the knocker';
  return grant === 'any' ? 'everyone' : formatCidr(grant);
}

function scanText({ scans, opened, banned, soonest, latest }: ScanResult): string {
  const open = opened === 0 ? `never opened it` : `OPENED IT in ${numberText(opened)}`;
  if (banned === 0)
    return `${open} of ${numberText(scans)} scans, none banned`.replace(
      'never opened it of',
      'never opened it in',
    );
  const at =
    soonest === latest
      ? `${numberText(soonest)} ${soonest === 1 ? 'port' : 'ports'}`
      : `${numberText(soonest)} to ${numberText(latest)} ports`;
  return `${open}${opened === 0 ? ' in' : ' of'} ${numberText(scans)} scans, ${banned === scans ? 'all' : numberText(banned)} banned after ${at}`;
}

const SPANS: readonly (readonly [seconds: number, unit: string])[] = [
  [31_557_600, 'years'],
  [86_400, 'days'],
  [3600, 'hours'],
  [60, 'minutes'],
];

/** A length of time in one unit: what matters is its size. */
function spanText(seconds: number): string {
  if (seconds === Number.POSITIVE_INFINITY) return 'for ever';
  if (seconds < 1) return 'less than a second';
  const [size, unit] = SPANS.find(([each]) => seconds >= 2 * each) ?? [1, 'seconds'];
  const number = numberText(seconds / size);
  return number === '1' ? `1 ${unit.replace(/s$/, '')}` : `${number} ${unit}`;
}

/** A number with a word for its size: `1,440`, `2.3 million`, `2.3 × 10^15`. */
function numberText(value: number): string {
  if (value >= 1e15) return value.toExponential(1).replace('e+', ' × 10^');
  const [size, word] = [
    [1e12, 'trillion'],
    [1e9, 'billion'],
    [1e6, 'million'],
  ].find(([each]) => value >= Number(each)) ?? [1, ''];
  const scaled = value / Number(size);
  const digits = word === '' ? Math.round(scaled) : Number(scaled.toPrecision(2));
  return `${digits.toLocaleString('en')}${word === '' ? '' : ` ${word}`}`;
}
