import { formatDuration } from '../../config/duration.ts';
import type { InputDefaults } from '../../machine/input-default.ts';
import { formatCidr } from '../../packet/cidr.ts';
import { formatPort, formatPortRange, type PortSpec } from '../../packet/port.ts';
import type { Config, Door } from '../../policy/config.ts';
import { type Guessing, MANY_SOURCES, type Method } from '../../strength/guessing.ts';
import type { DoorScans, ScanResult } from '../../strength/scans.ts';
import type { Warning } from '../../strength/warning.ts';

/** What `check` found out about one door. */
export interface DoorReport {
  readonly door: Door;
  /** The sequence in force; empty: a one-time file without one. */
  readonly knock: readonly PortSpec[];
  /** Sequences left in a one-time file; null: the door has none. */
  readonly left: number | null;
  readonly guessing: Guessing | null;
  readonly scans: DoorScans | null;
}

export interface Report {
  readonly file: string;
  readonly config: Config;
  readonly doors: readonly DoorReport[];
  readonly warnings: readonly Warning[];
  readonly inputDefaults: InputDefaults;
}

/** `file: warning: key: text; mend` in one line, as compilers do. */
export function formatWarning({ key, text, mend }: Warning, file: string): string {
  return `${file}: warning: ${key}: ${text}; ${mend}`;
}

/** The report as data. Times are seconds; null: longer than a number holds. */
export function jsonReport({ file, doors, warnings, inputDefaults }: Report): unknown {
  return {
    ok: true,
    file,
    // What this machine does with packets to ports that nobody named; null: unknown.
    input: { ipv4: word(inputDefaults[4]), ipv6: word(inputDefaults[6]) },
    doors: doors.map(({ door, knock, left, guessing, scans }) => ({
      name: door.name,
      steps: knock.length,
      opens: door.opens.map(formatPortRange),
      one_time_left: left,
      guessing: guessing === null ? null : jsonGuessing(guessing),
      scans,
    })),
    warnings,
  };
}

function word(fate: InputDefaults[4]): string | null {
  return fate?.toLowerCase() ?? null;
}

function jsonGuessing({ method, sequences, bits, alone, many, aloneWithoutBans }: Guessing): unknown {
  const finite = (seconds: number): number | null => (Number.isFinite(seconds) ? seconds : null);
  return {
    method,
    sequences: finite(sequences),
    bits,
    seconds_alone: finite(alone),
    [`seconds_from_${MANY_SOURCES}`]: finite(many),
    seconds_alone_without_bans: finite(aloneWithoutBans),
  };
}

export function formatReport({ file, config, doors, warnings }: Report): string {
  const count =
    config.doors.length === 0
      ? 'no doors'
      : config.doors.length === 1
        ? 'one door'
        : `${config.doors.length} doors`;
  const lines = [`${file} is sound: ${count}, ${decoysText(config)}.`];
  for (const each of doors) lines.push('', ...doorLines(each));
  const said =
    warnings.length === 1 ? 'One warning, with its mend' : `${warnings.length} warnings, each with its mend`;
  lines.push('', warnings.length === 0 ? 'No warnings.' : `${said}, on standard error.`);
  return `${lines.join('\n')}\n`;
}

function decoysText({ decoys }: Config): string {
  if (decoys === 'all') return 'every other port is a decoy';
  if (decoys.length === 0) return 'no decoys';
  return decoys.length === 1 ? 'one decoy' : `${decoys.length} decoys`;
}

function doorLines({ door, knock, left, guessing, scans }: DoorReport): string[] {
  const lines = [`door ${door.name}`];
  const line = (name: string, text: string): void => void lines.push(`  ${name.padEnd(12)} ${text}`);
  line('knock', knockText(knock, left));
  line(
    'opens',
    `${door.opens.length === 0 ? 'nothing' : door.opens.map(formatPortRange).join(', ')} for ${formatDuration(door.for)} to ${granteeText(door)}`,
  );
  if (guessing !== null) {
    line(
      'to guess',
      `${numberText(guessing.sequences)} ${METHODS[guessing.method]}: ${guessing.bits.toFixed(1)} bits`,
    );
    line(
      'even chance',
      `${spanText(guessing.alone)} from one source, ${spanText(guessing.many)} from ${numberText(MANY_SOURCES)}; without bans ${spanText(guessing.aloneWithoutBans)} from one`,
    );
  }
  if (scans !== null && knock.length > 0) {
    line('scan up', scanText(scans.up));
    line('scan down', scanText(scans.down));
    line('nmap order', scanText(scans.nmap));
    line('random order', scanText(scans.random));
  }
  return lines;
}

function knockText(knock: readonly PortSpec[], left: number | null): string {
  if (left === null) return knock.map(formatPort).join(', ');
  if (left === 0) return 'no one-time sequence left: the door stays shut';
  return `${left} one-time ${left === 1 ? 'sequence' : 'sequences'} left, the next of ${knock.length} steps`;
}

const METHODS: Readonly<Record<Method, string>> = {
  exact: 'sequences of ports',
  prefix: 'tries, one step after the other since a ban can be seen',
  order: 'orders of the knock ports, which a scan lists: see the warning about "answer"',
  scan: 'scans in random order, since not every port is watched',
};

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
      ? `port ${numberText(soonest)}`
      : `ports ${numberText(soonest)} to ${numberText(latest)}`;
  return `${open}${opened === 0 ? ' in' : ' of'} ${numberText(scans)} scans, ${banned === scans ? 'all' : numberText(banned)} banned at ${at}`;
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
  if (seconds < 1) return 'no time';
  const [size, unit] = SPANS.find(([each]) => seconds >= 2 * each) ?? [1, 'seconds'];
  return `${numberText(seconds / size)} ${unit}`;
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
