import { quoted } from '../config/fault.ts';
import type { PortRange } from '../packet/port.ts';
import { type AcceptRule, acceptRule } from './iptables-accept.ts';
import type { Directive, Section } from './knockd-file.ts';
import { splitCommand } from './shell-words.ts';

/** What a command does, as far as it can be told, and its words, the first an absolute path. */
export type Action =
  | {
      readonly does: 'add' | 'delete';
      readonly opens: readonly PortRange[];
      readonly argv: readonly string[];
      readonly line: number;
    }
  | { readonly does: 'run'; readonly argv: readonly string[]; readonly line: number };

/** Where what is found out about a file goes. */
export interface Findings {
  readonly warn: (line: number, key: string, text: string) => void;
  readonly fault: (line: number, key: string, found: string, allowed: string, mend: string) => void;
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
  return actionOf(section, by.get('start_command'), by.get('start_command_6'), watched, findings);
}

export function stopOf(
  section: Section,
  by: Directives,
  watched: string | null,
  findings: Findings,
): Action | null {
  return actionOf(section, by.get('stop_command'), by.get('stop_command_6'), watched, findings);
}

function actionOf(
  section: Section,
  four: Directive | undefined,
  six: Directive | undefined,
  watched: string | null,
  findings: Findings,
): Action | null {
  const one = four === undefined ? null : commandOf(section, four, watched, findings);
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
  const other = commandOf(section, six, watched, findings);
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
  return JSON.stringify(action.does === 'run' ? action.argv : [action.does, action.opens]);
}

/** Commands that are nothing but ACCEPT rules become `opens`; others become an argument vector. */
function commandOf(
  section: Section,
  directive: Directive,
  watched: string | null,
  { warn }: Findings,
): Action | null {
  const { line, value } = directive;
  const key = keyOf(section, directive);
  const { commands, words, shell } = splitCommand(value);
  if (words.length === 0) return null;
  const rules = commands.map(acceptRule).filter((rule): rule is AcceptRule => rule !== undefined);
  const [first] = rules;
  if (
    first !== undefined &&
    shell.length === 0 &&
    rules.length === commands.length &&
    rules.every(({ action }) => action === first.action)
  ) {
    if (rules.some(({ guessedProtocol }) => guessedProtocol))
      warn(line, key, '--dport without -p, which iptables refuses; taken as tcp');
    const elsewhere = rules.find((rule) => rule.interface !== null && rule.interface !== watched)?.interface;
    if (elsewhere != null)
      warn(
        line,
        key,
        `no equal: the rule is for ${quoted(elsewhere)} alone; a door opens on every interface that is watched ("listen.interfaces")`,
      );
    return {
      does: first.action,
      opens: distinct(rules.flatMap(({ opens }) => opens)),
      argv: [placeOf(words[0] ?? ''), ...words.slice(1)],
      line,
    };
  }
  return runOf(key, line, words, commands.length > 1 ? [...shell, '; or &&'] : shell, warn);
}

function distinct(ranges: readonly PortRange[]): PortRange[] {
  return [
    ...new Map(ranges.map((range) => [`${range.protocol} ${range.first} ${range.last}`, range])).values(),
  ].sort((a, b) => a.protocol.localeCompare(b.protocol) || a.first - b.first);
}

/** Where the programs of guides are, since no PATH is searched. */
const USUAL_PLACES: Readonly<Record<string, string>> = {
  iptables: '/usr/sbin',
  ip6tables: '/usr/sbin',
  nft: '/usr/sbin',
  ufw: '/usr/sbin',
  ipset: '/usr/sbin',
  ip: '/usr/sbin',
  service: '/usr/sbin',
};

function runOf(
  key: string,
  line: number,
  words: readonly string[],
  shell: readonly string[],
  warn: Findings['warn'],
): Action | null {
  const [program = '', ...rest] = words;
  if (shell.length > 0) {
    warn(
      line,
      key,
      `no shell is run, so ${shell.join(' ')} would reach the program as text: put the command in a script and name the script`,
    );
  }
  const unknown = words
    .flatMap((word) => word.match(/%[A-Za-z][A-Za-z0-9_]+%/g) ?? [])
    .find((word) => word !== '%IP%');
  if (unknown !== undefined || /[%=]/.test(program)) {
    warn(
      line,
      key,
      `${quoted(unknown ?? program)} cannot be taken over; the command is left out: put it in a script and name the script`,
    );
    return null;
  }
  if (program.startsWith('/')) return { does: 'run', argv: words, line };
  const place = placeOf(program);
  warn(line, key, `${quoted(program)} is no absolute path, and no PATH is searched; taken as ${place}`);
  return { does: 'run', argv: [place, ...rest], line };
}

function placeOf(program: string): string {
  if (program.startsWith('/')) return program;
  return `${USUAL_PLACES[program] ?? '/usr/bin'}/${program.split('/').pop() ?? program}`;
}
