import { DOOR_NAME_MAX } from '../config/door.ts';
import type { Fault } from '../config/fault.ts';
import type { Imported, Notice } from '../config/import-notice.ts';
import { formatPort, formatPortRange, type PortRange, type PortSpec } from '../packet/port.ts';
import { isCommonService } from '../policy/service-ports.ts';
import type { Action, Findings } from './knockd-command.ts';
import { type KnockdDoor, knockdDoor } from './knockd-door.ts';
import { readKnockd, type Section } from './knockd-file.ts';
import { checked, foreignYaml, type YamlDoor, yamlText } from './write-yaml.ts';

/** Translates a knockd.conf (knockd 0.8). `file` only names it in warnings and faults. */
export function importKnockd(text: string, file: string): Imported {
  const { sections, faults: broken } = readKnockd(text, file);
  const faults: Fault[] = [...broken];
  const warnings: Notice[] = [];
  const findings: Findings = {
    warn: (line, key, what) => warnings.push({ file, line, key, text: what }),
    fault: (line, key, found, allowed, mend) =>
      faults.push({ file, line, column: 1, key, found, allowed, mend }),
  };
  const { log, interfaces } = optionsOf(sections, findings);
  const found = sections
    .filter(({ name }) => name !== 'options')
    .map((section) => knockdDoor(section, interfaces[0] ?? null, findings))
    .filter((door) => door !== undefined);
  if (found.length === 0 && faults.length === 0)
    findings.fault(1, '(file)', 'no doors', 'at least one section with a sequence', 'name another file');
  if (faults.length > 0) return { ok: false, faults };
  const doors = doorsOf(paired(found, findings), findings);
  const yaml = foreignYaml({
    from: file,
    notes: [
      'nfknock itself keeps the ports in "opens" closed to everyone without a grant; knockd left that to your own rules.',
      'Look at it with `nfknock check -c FILE` before use.',
    ],
    interfaces,
    doors,
    decoys: [],
    bans: [
      ...rateOf(found),
      ['enforce: false', 'knockd bans nobody; this says what would be banned. Take it out to ban'],
    ],
    log,
  });
  return checked(yaml, warnings, file);
}

/** Packets a second that are no scan unless the file says otherwise. */
const RATE_DEFAULT = 20;

/** A client sends all its knocks at once: a sequence longer than that must not be a scan. */
function rateOf(doors: readonly KnockdDoor[]): (readonly [string, string])[] {
  const longest = Math.max(...doors.map(({ knock }) => (typeof knock === 'string' ? 0 : knock.length)));
  if (longest <= RATE_DEFAULT) return [];
  return [[`rate: { packets: ${2 * longest}, per: 1s }`, `a sequence has ${longest} knocks`]];
}

function optionsOf(
  sections: readonly Section[],
  { warn }: Findings,
): { readonly log: string | null; readonly interfaces: readonly string[] } {
  let log: string | null = null;
  let interfaces: readonly string[] = [];
  for (const { name, value, line } of sections
    .filter((each) => each.name === 'options')
    .flatMap((each) => each.directives)) {
    const key = `options.${name}`;
    if (name === 'logfile' && /^\/[^\t]*[^/\t]$/.test(value)) log = value;
    else if (name === 'logfile') warn(line, key, 'is no absolute path; the log goes to standard output');
    else if (name === 'interface' && /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/.test(value)) interfaces = [value];
    else if (name === 'interface')
      warn(line, key, 'is no name of an interface; every interface but lo is watched');
    else if (name === 'pidfile')
      warn(line, key, 'no equal, and none is needed: the daemon stays in the foreground of its service');
    else if (name === 'usesyslog')
      warn(line, key, 'no equal: the log goes to standard output, which the journal keeps under systemd');
    else warn(line, key, 'knockd knows no such option; left out');
  }
  return { log, interfaces };
}

/** A door and, where another takes back what it opens, that other's sequence as its `close`. */
interface Pair {
  readonly door: KnockdDoor;
  readonly close: KnockdDoor | null;
}

/** Puts open and close doors together by the ports that they add and delete, then by their names. */
function paired(doors: readonly KnockdDoor[], { warn }: Findings): readonly Pair[] {
  const closing = doors.filter(
    (door) => door.start?.does === 'delete' && door.stop === null && typeof door.knock !== 'string',
  );
  const taken = new Map<KnockdDoor, KnockdDoor>();
  for (const close of closing) {
    const rest = doors.filter(
      (door) =>
        !taken.has(door) &&
        door.start?.does === 'add' &&
        door.stop === null &&
        samePorts(door.start, close.start),
    );
    const open = rest.find((door) => stem(door.name) === stem(close.name)) ?? rest[0];
    if (open === undefined) {
      warn(
        close.line,
        close.name,
        'deletes a rule that no other door adds; kept as a command, which finds nothing to delete',
      );
      continue;
    }
    taken.set(open, close);
    if (open.within !== close.within) {
      warn(
        close.line,
        close.name,
        `opening and closing have one time limit here: the longer, ${Math.max(open.within, close.within)}s`,
      );
    }
    if ((open.flags ?? 'syn') !== (close.flags ?? 'syn')) {
      warn(
        close.line,
        close.name,
        `opening and closing have one rule for flags here: "${open.flags ?? 'syn'}"`,
      );
    }
  }
  const merged = new Set(taken.values());
  return doors.filter((door) => !merged.has(door)).map((door) => ({ door, close: taken.get(door) ?? null }));
}

function samePorts(a: Action, b: Action | null): boolean {
  return a.does !== 'run' && b !== null && b.does !== 'run' && portsText(a.opens) === portsText(b.opens);
}

function portsText(ranges: readonly PortRange[]): string {
  return ranges.map(formatPortRange).join(', ');
}

/** `openSSH`, `closeSSH` and `opencloseSSH` are all about `ssh`. */
function stem(name: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  const short = plain.replace(/^(open-?close|open|close)[-_]?/, '').replace(/[-_]?(open|close)$/, '');
  return (short === '' ? plain || 'door' : short).slice(0, DOOR_NAME_MAX);
}

function doorsOf(pairs: readonly Pair[], findings: Findings): YamlDoor[] {
  const names = new Set<string>();
  const sequences = new Map<string, string>();
  const doors: YamlDoor[] = [];
  const opening = pairs.flatMap(({ door }) =>
    typeof door.knock === 'string' ? [] : [sequenceText(door.knock)],
  );
  for (const { door, close } of pairs) {
    let name = stem(door.name);
    for (let count = 2; names.has(name); count += 1)
      name = `${stem(door.name).slice(0, DOOR_NAME_MAX - 5)}-${count}`;
    const knock = typeof door.knock === 'string' ? door.knock : sequenceText(door.knock);
    let closing = close === null || typeof close.knock === 'string' ? '' : sequenceText(close.knock);
    const other = sequences.get(`${knock}`);
    if (typeof door.knock !== 'string' && other !== undefined) {
      findings.warn(
        door.line,
        door.name,
        `has the same sequence as ${other}; left out: add its ports to "opens" of that door`,
      );
      continue;
    }
    if (close !== null && opening.includes(closing)) {
      findings.warn(
        close.line,
        close.name,
        'has the sequence that opens a door; left out: give "close" another one',
      );
      closing = '';
    }
    names.add(name);
    sequences.set(knock, door.name);
    warnOfServices(door, findings);
    doors.push({
      name,
      comment: commentOf(door, close),
      lines: linesOf(door, close, knock, closing, findings),
    });
  }
  return doors;
}

function sequenceText(steps: readonly PortSpec[]): string {
  return `[${steps.map(formatPort).join(', ')}]`;
}

function commentOf(door: KnockdDoor, close: KnockdDoor | null): string {
  return close === null ? `[${door.name}]` : `[${door.name}] and [${close.name}]`;
}

/** `24d`: the longest that a grant lasts. */
const UNTIL_CLOSED = '24d';

function linesOf(
  door: KnockdDoor,
  close: KnockdDoor | null,
  knock: string,
  closing: string,
  { warn }: Findings,
): string[] {
  const within = Math.max(door.within, close?.within ?? 0);
  const { start, stop } = door;
  const lines = [typeof door.knock === 'string' ? `one_time: ${yamlText(knock)}` : `knock: ${knock}`];
  lines.push(`within: ${within}s`, `gap: { max: ${within}s }`);
  if (door.flags !== null) lines.push(`flags: "${door.flags}"`);
  if (start?.does === 'add') {
    lines.push(`opens: [${portsText(start.opens)}]`);
    if (stop === null) {
      lines.push(`for: ${UNTIL_CLOSED}`);
      const until = close === null ? 'for ever' : 'until it is closed';
      warn(
        start.line,
        door.name,
        `knockd leaves this open ${until}; here a grant lasts at most ${UNTIL_CLOSED}. Established connections outlive it, so 30s will mostly do`,
      );
    } else lines.push(`for: ${door.seconds}s`);
  } else if (stop !== null) lines.push(`for: ${door.seconds}s`);
  else lines.push('for: 1s');
  if (closing !== '') lines.push(`close: ${closing}`);
  const opening = start?.does === 'add' ? null : argvOf(start, door, warn);
  if (opening !== null) lines.push(`on_open: ${opening}`);
  const undone = start?.does === 'add' && stop?.does === 'delete';
  if (undone && !samePorts(start, stop))
    warn(
      stop.line,
      door.name,
      `the stop command deletes ${portsText(stop.opens)}, the start command adds ${portsText(start.opens)}; what was opened is closed`,
    );
  const ending = undone ? null : argvOf(stop, door, warn);
  if (ending !== null) lines.push(`on_close: ${ending}`);
  return lines;
}

/** A command as a YAML list; rules that are no door's own are written as the commands that they were. */
function argvOf(action: Action | null, door: KnockdDoor, warn: Findings['warn']): string | null {
  if (action === null) return null;
  if (action.does !== 'run' && action.argv.some((word) => word === ';' || word === '&&')) {
    warn(
      action.line,
      door.name,
      'no shell is run, so ; and && would reach the program as text: put the commands in a script and name the script',
    );
  }
  return `[${action.argv.map(yamlText).join(', ')}]`;
}

/** A knock port is dropped here, while knockd only listened. */
function warnOfServices(door: KnockdDoor, { warn }: Findings): void {
  if (typeof door.knock === 'string') return;
  const shared = door.knock.filter(isCommonService).map(formatPort);
  if (shared.length === 0) return;
  warn(
    door.line,
    door.name,
    `knocks on ${shared.join(', ')}: knocks are dropped here, so if a service listens there add the port to "allow", and it is only watched`,
  );
}
