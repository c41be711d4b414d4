import { dirname } from 'node:path';
import type { Fault } from '../config/fault.ts';
import type { Imported, Notice } from '../config/import-notice.ts';
import { formatPort, type PortSpec } from '../packet/port.ts';
import { DOOR_NAME_MAX } from '../policy/door-name.ts';
import { isCommonService } from '../policy/service-ports.ts';
import { type Action, type Findings, oneOf, type Rules } from './knockd-command.ts';
import { type KnockdDoor, knockdDoor, SECONDS_MAX } from './knockd-door.ts';
import { readKnockd, type Section } from './knockd-file.ts';
import { type Pair, paired, portsText, sameOpening, stem, timeoutOf } from './knockd-pairs.ts';
import { checked, foreignYaml, type YamlDoor, yamlText } from './write-yaml.ts';

/** Translates a knockd.conf (knockd 0.8). `file` only names it in warnings and faults. */
export function importKnockd(text: string, file: string): Imported {
  const warnings: Notice[] = [];
  const { sections, faults: broken } = readKnockd(text, file, (line, key, what) =>
    warnings.push({ file, line, key, text: what }),
  );
  const faults: Fault[] = [...broken];
  const findings: Findings = {
    warn: (line, key, what) => warnings.push({ file, line, key, text: what }),
    fault: (line, key, problem, fix) => faults.push({ file, line, column: 1, key, problem, fix }),
  };
  const { log, interfaces } = optionsOf(sections, findings);
  const found = sections
    .filter(({ name }) => name !== 'options')
    .map((section) => knockdDoor(section, interfaces[0] ?? null, findings))
    .filter((door) => door !== undefined);
  if (found.length === 0 && faults.length === 0)
    findings.fault(1, '(file)', 'the file has no doors', 'name a file that has a section with a sequence');
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
    if (name === 'logfile') log = logOf(value, (what) => warn(line, key, what));
    else if (name === 'interface' && /^any$/i.test(value)) interfaces = [];
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

/** Where the unit's user may write (LogsDirectory and StateDirectory of deploy/systemd/nfknock.service). */
const UNIT_LOGS = '/var/log/nfknock';
const WRITABLE = /^\/var\/(log|lib)\/nfknock\/./;

function logOf(value: string, warn: (what: string) => void): string | null {
  if (/^\/dev\/(null|stdout|stderr|console|log)$/.test(value)) {
    warn('the log goes to standard output, which the journal keeps under systemd');
    return null;
  }
  if (!/^\/[^\t]*[^/\t]$/.test(value)) {
    warn('is no absolute path; the log goes to standard output');
    return null;
  }
  if (WRITABLE.test(value) && !value.includes('/../')) return value;
  const name = (value.split('/').pop() ?? '').replace('knockd', 'nfknock');
  const place = `${UNIT_LOGS}/${name}`;
  warn(
    `the unit's user can create no file in ${dirname(value)}: the log is ${place}; as another user, make that folder first`,
  );
  return place;
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
    warnOfPrefix(door, opening, findings);
    names.add(name);
    sequences.set(knock, door.name);
    warnOfServices(door, findings);
    doors.push({
      name,
      comment: commentOf(door, close),
      lines: linesOf({ door, close }, knock, closing, findings),
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

/** The longest that a grant lasts. */
const UNTIL_CLOSED = '24d';

function linesOf({ door, close }: Pair, knock: string, closing: string, { warn }: Findings): string[] {
  const within = Math.max(door.within, close?.within ?? 0);
  const { start, stop } = door;
  const lines = [typeof door.knock === 'string' ? `one_time: ${yamlText(knock)}` : `knock: ${knock}`];
  lines.push(`within: ${within}s`, `gap: { max: ${within}s }`);
  if (door.flags !== null) lines.push(`flags: "${door.flags}"`);
  if (start?.does === 'add') lines.push(...openingLines(start.rules));
  lines.push(`for: ${lifeOf({ door, close }, warn)}`);
  if (closing !== '') lines.push(`close: ${closing}`);
  const opening = start?.does === 'add' ? start.hook : commandOf(start, door, warn);
  if (opening !== null) lines.push(`on_open: ${argvText(opening)}`);
  const undone = start?.does === 'add' && stop?.does === 'delete';
  if (undone && stop.numbered === null && !sameOpening(start, { ...stop, does: 'delete' }))
    warn(
      stop.line,
      door.name,
      `the stop command deletes ${portsText(stop.rules.opens)}, the start command adds ${portsText(start.rules.opens)}; what was opened is closed`,
    );
  const ending = undone
    ? stop.hook
    : (commandOf(stop, door, warn) ?? undoOf(start) ?? endingOf(start, close));
  if (ending !== null) lines.push(`on_close: ${argvText(ending)}`);
  return lines;
}

/** What is run where a command opens no port of a door. */
function commandOf(
  action: Action | null,
  { name }: KnockdDoor,
  warn: Findings['warn'],
): readonly string[] | null {
  if (action === null) return null;
  if (action.does === 'run') return action.argv;
  const tell = (text: string): void => warn(action.line, name, text);
  if (action.numbered !== null) tell(action.numbered);
  if (action.argv.length === 0) return action.hook;
  return oneOf([action.argv, ...action.more, ...(action.hook === null ? [] : [action.hook])], tell);
}

function openingLines({ opens, grantee, to }: Rules): string[] {
  const lines = [`opens: [${portsText(opens)}]`];
  if (grantee !== 'source') lines.push(`grant: ${yamlText(grantee)}`);
  if (to !== null) lines.push(`forward: ${yamlText(to.host)}`);
  if (to?.dnat === true) lines.push('dnat: true');
  return lines;
}

function undoOf(start: Action | null): readonly string[] | null {
  return start?.does === 'run' ? start.undo : null;
}

/** What a door that closes ran, where both are commands: the grant's end runs it. */
function endingOf(start: Action | null, close: KnockdDoor | null): readonly string[] | null {
  return start?.does === 'run' && close?.start?.does === 'run' ? close.start.argv : null;
}

/** How long the door stays open, as the original left it. */
function lifeOf({ door, close }: Pair, warn: Findings['warn']): string {
  const { start } = door;
  if (door.timed) return `${door.seconds}s`;
  if (start === null) return '1s';
  const own = start.seconds ?? (start.does === 'run' ? timeoutOf(start) : null);
  if (own !== null) return `${Math.min(own, SECONDS_MAX)}s`;
  if (start.does !== 'add' && close === null) return '1s';
  const until = close === null ? 'for ever' : 'until it is closed';
  warn(
    start.line,
    door.name,
    `knockd leaves this open ${until}; here a grant lasts at most ${UNTIL_CLOSED}. Established connections outlive it, so 30s will mostly do`,
  );
  return UNTIL_CLOSED;
}

function argvText(argv: readonly string[]): string {
  return `[${argv.map(yamlText).join(', ')}]`;
}

/** Who knocks a longer sequence has opened the door whose sequence it begins with. */
function warnOfPrefix(door: KnockdDoor, opening: readonly string[], { warn }: Findings): void {
  if (typeof door.knock === 'string') return;
  const mine = sequenceText(door.knock);
  const shorter = opening.find((other) => mine.startsWith(`${other.slice(0, -1)},`));
  if (shorter !== undefined)
    warn(
      door.line,
      door.name,
      `begins with the whole sequence ${shorter} of another door, which opens on the way, as in knockd`,
    );
}

/** A knock port is dropped here, while knockd only listened. */
function warnOfServices(door: KnockdDoor, { warn }: Findings): void {
  if (typeof door.knock === 'string') return;
  if (door.knock.length === 1)
    warn(
      door.line,
      door.name,
      `one knock, on ${door.knock.map(formatPort).join(', ')}: any packet there opens it, and knocks are dropped here, so if a service listens there add the port to "allow", and it is only watched`,
    );
  const shared = door.knock.filter(isCommonService).map(formatPort);
  if (shared.length === 0 || door.knock.length === 1) return;
  warn(
    door.line,
    door.name,
    `knocks on ${shared.join(', ')}: knocks are dropped here, so if a service listens there add the port to "allow", and it is only watched`,
  );
}
