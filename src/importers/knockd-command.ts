import type { PortRange } from '../packet/port.ts';
import { quoted } from '../text/plain.ts';
import type { Directive } from './directive.ts';
import type { Section } from './knockd-file.ts';
import { type Step, stepOf, tellUser } from './knockd-step.ts';
import type { Opening } from './opening.ts';
import { type CommandLine, splitCommand } from './shell-words.ts';

type Argv = readonly string[];

/** What the rules of one command let in, together. */
export interface Rules {
  readonly opens: readonly PortRange[];
  readonly grantee: string;
  readonly to: Opening['to'];
}

/** What a command does, as far as it can be told; the first word of each argument vector is an absolute path. */
export type Action = { readonly line: number; readonly argv: Argv } & (
  | {
      readonly does: 'add' | 'delete';
      readonly rules: Rules;
      /** What it runs besides. */
      readonly hook: Argv | null;
      /** Seconds until the command itself takes the rules back. */
      readonly seconds: number | null;
    }
  | {
      readonly does: 'run';
      /** What it runs after this many seconds. */
      readonly undo: Argv | null;
      readonly seconds: number | null;
    }
);

/** Where what is found out about a file goes. */
export interface Findings {
  readonly warn: (line: number, key: string, text: string) => void;
  readonly fault: (line: number, key: string, problem: string, fix: string) => void;
}

/** The name of a directive in a warning. */
export function keyOf(section: Section, { name }: Directive): string {
  return `${section.name}.${name}`;
}

type Directives = ReadonlyMap<string, Directive>;

/** The start command. nfknock's own doors are for IPv4 and IPv6 alike, so of the two forms one is taken. */
export function startOf(
  section: Section,
  by: Directives,
  watched: string | null,
  findings: Findings,
): Action | null {
  return actionOf(section, [by.get('start_command'), by.get('start_command_6')], watched, findings);
}

export function stopOf(
  section: Section,
  by: Directives,
  watched: string | null,
  findings: Findings,
): Action | null {
  return actionOf(section, [by.get('stop_command'), by.get('stop_command_6')], watched, findings);
}

function actionOf(
  section: Section,
  [four, six]: readonly [Directive | undefined, Directive | undefined],
  watched: string | null,
  findings: Findings,
): Action | null {
  const about = { section, watched, findings };
  const one = four === undefined ? null : commandOf(about, four, six === undefined);
  if (six === undefined) return one;
  const { warn } = findings;
  const key = keyOf(section, six);
  if (six.value === '') {
    warn(
      six.line,
      key,
      'no equal: empty means nothing for IPv6 there; nfknock lets an IPv6 knocker in as it does one of IPv4',
    );
    return one;
  }
  const other = commandOf(about, six, false);
  if (one === null) {
    warn(six.line, key, 'stands without a command for IPv4; nfknock does the same for both');
    return other;
  }
  // ip6tables beside iptables for the same ports is exactly what a door does.
  if (effectOf(one) === effectOf(other)) return one;
  warn(
    six.line,
    key,
    'no equal: a door does the same for IPv4 and IPv6, here as for IPv4; give IPv6 a door of its own if it needs another command',
  );
  return one;
}

function effectOf(action: Action | null): string {
  if (action === null) return '';
  return JSON.stringify(action.does === 'run' ? action.argv : [action.does, action.rules]);
}

interface About {
  readonly section: Section;
  readonly watched: string | null;
  readonly findings: Findings;
}

/** `sh -c '…'` around the whole line runs what stands in it: knockd gives each command to a shell anyway. */
function withoutShell(line: CommandLine): CommandLine {
  const [words, ...others] = line.commands;
  const [program = '', option = '', text, ...rest] = words ?? [];
  const isShell = /^(\/(usr\/)?bin\/)?(sh|bash|dash)$/.test(program) && /^-e?c$/.test(option);
  const isAlone = others.length === 0 && rest.length === 0 && line.shell.length === 0;
  return isShell && isAlone && text !== undefined ? splitCommand(text) : line;
}

/** Commands that do nothing but let in become `opens`; others become an argument vector. */
function commandOf(
  { section, watched, findings }: About,
  directive: Directive,
  alone: boolean,
): Action | null {
  const { line, value } = directive;
  const key = keyOf(section, directive);
  const warn = (text: string): void => findings.warn(line, key, text);
  const { commands, shell } = withoutShell(splitCommand(value));
  if (commands.length === 0) return null;
  if (shell.length > 0) {
    warn(
      `no shell is run, and ${shell.join(' ')} needs one: the command is left out; put it in a script and name the script`,
    );
    return null;
  }
  const steps = commands.map((words) => stepOf(words, warn));
  if (steps.some((step) => step === null)) return null;
  const known = steps.filter((step) => step !== null);
  const rules = known.flatMap((step) => (step.step === 'rule' ? [step.rule] : []));
  if (rules.length === 0) return runOf(known, line, warn);
  const together = togetherOf(rules, warn);
  if (together === null) return null;
  tellDifferences(rules, { watched, alone, warn });
  const { action, seconds } = orderOf(known);
  const hooks = known.flatMap((step) => (step.step === 'run' ? [step.argv] : []));
  const [argv = []] = known.flatMap((step) => (step.step === 'rule' ? [step.argv] : []));
  return { does: action, rules: together, argv, hook: oneOf(hooks, warn), seconds, line };
}

/** Whether the rules let in or take back in the end, and after how long the command itself takes them back. */
function orderOf(steps: readonly Step[]): {
  readonly action: 'add' | 'delete';
  readonly seconds: number | null;
} {
  let added = false;
  let slept = 0;
  let seconds: number | null = null;
  for (const step of steps) {
    if (step.step === 'sleep') slept += added ? step.seconds : 0;
    else if (step.step === 'rule' && step.rule.action === 'add') {
      added = true;
      seconds ??= step.rule.seconds;
    } else if (step.step === 'rule' && added) seconds = Math.max(slept, 1);
  }
  return { action: added ? 'add' : 'delete', seconds };
}

/** The rules as one door's, or null where one door cannot do what they do. */
function togetherOf(rules: readonly Opening[], warn: (text: string) => void): Rules | null {
  const [first] = rules;
  if (first === undefined) return null;
  const hosts = new Set(rules.map(({ to }) => to?.host ?? ''));
  const grantees = new Set(rules.map(({ grantee }) => grantee));
  if (hosts.size > 1 || grantees.size > 1) {
    warn(
      'lets several in, or leads to several machines: one door has one of each; the command is left out: make a door of each rule',
    );
    return null;
  }
  const dnat = rules.some(({ to }) => to?.dnat === true);
  return {
    opens: distinct(rules.flatMap(({ opens }) => opens)),
    grantee: first.grantee,
    to: first.to === null ? null : { host: first.to.host, dnat },
  };
}

function tellDifferences(
  rules: readonly Opening[],
  about: { readonly watched: string | null; readonly alone: boolean; readonly warn: (text: string) => void },
): void {
  const { watched, alone, warn } = about;
  for (const text of new Set(rules.flatMap(({ differs }) => differs))) warn(text);
  const elsewhere = rules.find((rule) => rule.interface !== null && rule.interface !== watched)?.interface;
  if (elsewhere != null)
    warn(
      `no equal: the rule is for ${quoted(elsewhere)} alone; a door opens on every interface that is watched ("listen.interfaces")`,
    );
  if (alone && rules.every(({ family }) => family === 6))
    warn('no equal: the rule is for IPv6 alone; a door lets an IPv4 knocker in as it does one of IPv6');
}

/** A door runs one command as it opens. */
function oneOf(hooks: readonly Argv[], warn: (text: string) => void): Argv | null {
  const [hook, ...more] = hooks;
  if (hook === undefined) return null;
  if (more.length > 0)
    warn(
      'runs several commands beside its rules, and a door runs one: the first is taken, the others are left out; put them in a script and name the script',
    );
  tellUser(hook, warn);
  return hook;
}

function runOf(steps: readonly Step[], line: number, warn: (text: string) => void): Action | null {
  const hooks = steps.flatMap((step) => (step.step === 'run' ? [step.argv] : []));
  const slept = steps.findIndex(({ step }) => step === 'sleep');
  const [argv = [], undo = null] = hooks;
  if (hooks.length === 0) {
    warn('only waits, which a door has no need of; left out');
    return null;
  }
  if (slept === 1 && hooks.length === 2 && steps.length === 3) {
    const [, wait] = steps;
    tellUser(argv, warn);
    return { does: 'run', argv, undo, seconds: wait?.step === 'sleep' ? wait.seconds : 1, line };
  }
  if (steps.length > 1) {
    warn(
      'several commands, and a door runs one, without a shell: they are left out; put them in a script and name the script',
    );
    return null;
  }
  tellUser(argv, warn);
  return { does: 'run', argv, undo: null, seconds: null, line };
}

function distinct(ranges: readonly PortRange[]): PortRange[] {
  return [
    ...new Map(ranges.map((range) => [`${range.protocol} ${range.first} ${range.last}`, range])).values(),
  ].sort((a, b) => a.protocol.localeCompare(b.protocol) || a.first - b.first);
}
