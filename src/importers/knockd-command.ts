import type { PortRange } from '../packet/port.ts';
import { quoted } from '../text/plain.ts';
import type { Directive } from './directive.ts';
import type { Section } from './knockd-file.ts';
import { stepsOf } from './knockd-list.ts';
import { type Step, tellUser } from './knockd-step.ts';
import type { Opening } from './opening.ts';

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
      /** The commands of its rules but the first. */
      readonly more: readonly Argv[];
      /** What it runs besides. */
      readonly hook: Argv | null;
      /** It takes a rule back by its number alone; what keeps that from being taken over. */
      readonly numbered: string | null;
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

/** Commands that do nothing but let in become `opens`; others become an argument vector. */
function commandOf(
  { section, watched, findings }: About,
  directive: Directive,
  alone: boolean,
): Action | null {
  const { line, value } = directive;
  const key = keyOf(section, directive);
  const warn = (text: string): void => findings.warn(line, key, text);
  const known = stepsOf(value, warn);
  if (known === null || known.length === 0) return null;
  const rules = known.flatMap((step) => (step.step === 'rule' ? [step.rule] : []));
  const numbered = known.find((step) => step.step === 'numbered')?.harm ?? null;
  const runs = known.filter(({ step }) => step !== 'numbered');
  if (rules.length === 0 && (numbered === null || runs.length > 0)) {
    if (numbered !== null) warn(numbered);
    return runOf(runs, line, warn);
  }
  const added = rules.filter(({ action }) => action === 'add');
  const counted = added.length > 0 ? added : rules;
  const together = togetherOf(counted, warn);
  if (together === null) return null;
  tellDifferences(counted, { watched, alone, warn });
  const { action, seconds } = orderOf(known, warn);
  const hooks = known.flatMap((step) => (step.step === 'run' ? [step.argv] : []));
  const hook = oneOf(hooks, warn);
  const argvs = known.flatMap((step) => (step.step === 'rule' ? [step.argv] : []));
  const [argv = [], ...more] = argvs;
  if (added.length > 0 && numbered !== null) warn(numbered);
  return {
    does: action,
    rules: together,
    argv,
    more,
    hook,
    seconds,
    line,
    numbered: added.length > 0 ? null : numbered,
  };
}

/** Whether the rules let in or take back in the end, and after how long the command itself takes them back. */
function orderOf(
  steps: readonly Step[],
  warn: (text: string) => void,
): {
  readonly action: 'add' | 'delete';
  readonly seconds: number | null;
} {
  const toAdd = new Set(
    steps.flatMap((step) => (step.step === 'rule' && step.rule.action === 'add' ? [whatOf(step.rule)] : [])),
  );
  const adds = toAdd.size > 0;
  const added = new Set<string>();
  let slept = 0;
  let waited = 0;
  let seconds: number | null = null;
  for (const step of steps) {
    if (step.step === 'sleep' && added.size > 0) slept += step.seconds;
    else if (step.step === 'sleep') waited += step.seconds;
    else if (step.step === 'numbered' && added.size > 0) seconds = Math.max(slept, 1);
    else if (step.step !== 'rule') continue;
    else if (step.rule.action === 'add') {
      added.add(whatOf(step.rule));
      seconds ??= step.rule.seconds;
    } else if (added.has(whatOf(step.rule))) seconds = Math.max(slept, 1);
    else if (adds && !toAdd.has(whatOf(step.rule)))
      warn(`${quoted(step.argv.join(' '))} is left out: it deletes a rule that this command does not add`);
  }
  if (adds && waited > 0) warn(`waits ${waited} s before it opens; a door opens at once`);
  return { action: adds ? 'add' : 'delete', seconds };
}

/** What a rule is for, whether it is added or taken back. */
function whatOf({ opens, grantee, to }: Opening): string {
  return JSON.stringify([opens, grantee, to]);
}

/** The rules as one door's, or null where one door cannot do what they do. */
function togetherOf(rules: readonly Opening[], warn: (text: string) => void): Rules | null {
  const [first] = rules;
  // Nothing but a rule that goes by its number.
  if (first === undefined) return { opens: [], grantee: 'source', to: null };
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
  if (alone && rules.length > 0 && rules.every(({ family }) => family === 6))
    warn('no equal: the rule is for IPv6 alone; a door lets an IPv4 knocker in as it does one of IPv6');
}

/** A door runs one command as it opens. */
export function oneOf(hooks: readonly Argv[], warn: (text: string) => void): Argv | null {
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
