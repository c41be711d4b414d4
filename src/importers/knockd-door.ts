import { STEPS_MAX } from '../config/door.ts';
import { DURATION_MAX } from '../config/duration.ts';
import { parseFlags } from '../packet/flags.ts';
import { formatPort, type PortSpec, parsePort } from '../packet/port.ts';
import { quoted } from '../text/plain.ts';
import type { Directive } from './directive.ts';
import { type Action, type Findings, keyOf, startOf, stopOf } from './knockd-command.ts';
import type { Section } from './knockd-file.ts';

/** knockd's defaults, in seconds (knockd.c). */
const SEQ_TIMEOUT = 25;
const CMD_TIMEOUT = 10;
export const SECONDS_MAX: number = DURATION_MAX / 1000;
/** The longest `within`, in seconds. */
const WITHIN_SECONDS_MAX = 86_400;

/** A door of knockd.conf. */
export interface KnockdDoor {
  readonly name: string;
  readonly line: number;
  /** A sequence, or the path of a one-time file. */
  readonly knock: readonly PortSpec[] | string;
  /** Seconds from the first knock to the last. */
  readonly within: number;
  readonly flags: string | null;
  readonly start: Action | null;
  /** Seconds from the start command to the stop command. */
  readonly seconds: number;
  readonly stop: Action | null;
  /** It closes by itself, also where its stop command can't be taken over. */
  readonly timed: boolean;
}

const KNOWN = [
  'target',
  'sequence',
  'one_time_sequences',
  'seq_timeout',
  'timeout',
  'tcpflags',
  'start_command',
  'command',
  'start_command_6',
  'command_6',
  'cmd_timeout',
  'stop_command',
  'stop_command_6',
];

/** Undefined: the section has no sequence that can be taken over; the findings say why. */
export function knockdDoor(
  section: Section,
  watched: string | null,
  findings: Findings,
): KnockdDoor | undefined {
  const { warn, fault } = findings;
  const by = new Map<string, Directive>();
  for (const directive of section.directives) {
    const name = ALIASES[directive.name] ?? directive.name;
    if (!KNOWN.includes(name))
      warn(directive.line, keyOf(section, directive), 'knockd knows no such directive; left out');
    if (by.has(name) && name !== 'sequence')
      warn(directive.line, keyOf(section, directive), 'stands twice; as in knockd the last one counts');
    by.set(name, directive);
  }
  const get = (name: string): Directive | undefined => by.get(name);
  const target = get('target');
  if (target !== undefined) {
    warn(
      target.line,
      keyOf(section, target),
      `no equal: nfknock judges knocks to every address of this machine, not to ${quoted(target.value)} alone; for a service on a host behind it see "forward"`,
    );
  }
  const knock = knockOf(section, get('sequence'), get('one_time_sequences'), findings);
  const flags = get('tcpflags');
  if (flags !== undefined && parseFlags(flags.value) === undefined) {
    fault(
      flags.line,
      keyOf(section, flags),
      `${quoted(flags.value)} is not a list of TCP flags`,
      'expected fin, syn, rst, psh, ack and urg with commas between, for example syn,!ack',
    );
  }
  if (
    flags === undefined &&
    typeof knock !== 'string' &&
    knock?.some(({ protocol }) => protocol === 'tcp') === true
  ) {
    const text =
      'without TCPFlags knockd counts every TCP packet; here a knock is a SYN, as with "TCPFlags = syn"';
    warn(section.line, section.name, text);
  }
  const start = startOf(section, by, watched, findings);
  const stop = stopOf(section, by, watched, findings);
  const timed = ['stop_command', 'stop_command_6'].some((name) => (get(name)?.value ?? '') !== '');
  if (start?.does === 'run' && stop === null && timed)
    warn(
      start.line,
      section.name,
      'nothing takes back what the start command does, since the stop command is left out',
    );
  if (start === null && stop === null)
    warn(section.line, section.name, 'has no command, so the door opens nothing: add ports to "opens"');
  if (knock === undefined) return undefined;
  return {
    name: section.name,
    line: section.line,
    knock,
    within: secondsOf(section, get('seq_timeout'), [SEQ_TIMEOUT, WITHIN_SECONDS_MAX], findings),
    flags: flags === undefined ? null : flags.value.toLowerCase().replaceAll(/\s/g, ''),
    start,
    seconds: secondsOf(section, get('cmd_timeout'), [CMD_TIMEOUT, SECONDS_MAX], findings),
    stop,
    timed,
  };
}

const ALIASES: Readonly<Record<string, string>> = {
  command: 'start_command',
  command_6: 'start_command_6',
  timeout: 'seq_timeout',
};

function knockOf(
  section: Section,
  sequence: Directive | undefined,
  oneTime: Directive | undefined,
  { warn, fault }: Findings,
): readonly PortSpec[] | string | undefined {
  if (oneTime !== undefined) {
    if (sequence !== undefined)
      warn(sequence.line, keyOf(section, sequence), 'stands beside one_time_sequences; the file is taken');
    if (/^\/[^\t]*[^/\t]$/.test(oneTime.value)) return oneTime.value;
    fault(
      oneTime.line,
      keyOf(section, oneTime),
      `${quoted(oneTime.value)} is not the absolute path of a file`,
      'expected a path that begins with /',
    );
    return undefined;
  }
  if (sequence === undefined) {
    fault(
      section.line,
      section.name,
      'the door has no sequence',
      'add sequence = PORT,PORT,… or one_time_sequences = FILE',
    );
    return undefined;
  }
  const key = keyOf(section, sequence);
  if (sequence.value.startsWith('/')) {
    const fix = `write one_time_sequences = ${sequence.value}`;
    fault(
      sequence.line,
      key,
      `${quoted(sequence.value)} is not a list of ports`,
      `${fix} (knockd takes a path here for port 0, and one packet opens the door)`,
    );
    return undefined;
  }
  const steps: PortSpec[] = [];
  for (const word of sequence.value.split(',')) {
    const step = parsePort(
      word
        .trim()
        .replace(/\s*:\s*/, '/')
        .toLowerCase(),
    );
    if (step === undefined)
      fault(
        sequence.line,
        key,
        `${quoted(word.trim())} is not a port from 1 to 65535`,
        'expected PORT, PORT:tcp or PORT:udp',
      );
    else if (steps.length > 0 && formatPort(step) === formatPort(steps[steps.length - 1] ?? step)) {
      warn(
        sequence.line,
        key,
        `${formatPort(step)} twice in a row is one knock here, since clients repeat packets; the second is left out`,
      );
    } else steps.push(step);
  }
  if (steps.length > STEPS_MAX)
    fault(sequence.line, key, `the sequence has ${steps.length} ports`, `write at most ${STEPS_MAX}`);
  return steps.length === 0 || steps.length > STEPS_MAX ? undefined : steps;
}

function secondsOf(
  section: Section,
  directive: Directive | undefined,
  [fallback, max]: readonly [fallback: number, max: number],
  { warn }: Findings,
): number {
  if (directive === undefined) return fallback;
  // knockd reads the digits in front: "10s" is 10.
  const digits = /^\d{1,12}/.exec(directive.value)?.[0];
  const used = Math.min(Math.max(digits === undefined ? fallback : Number(digits), 1), max);
  if (`${used}` !== directive.value.replace(/^0+(?=\d)/, ''))
    warn(
      directive.line,
      keyOf(section, directive),
      `${quoted(directive.value)} is taken as ${used} s (1 to ${max})`,
    );
  return used;
}
