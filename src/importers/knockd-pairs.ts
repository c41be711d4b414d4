import { formatPortRange, type PortRange } from '../packet/port.ts';
import { DOOR_NAME_MAX } from '../policy/door-name.ts';
import type { Action, Findings, Rules } from './knockd-command.ts';
import type { KnockdDoor } from './knockd-door.ts';

/** A door and, where another takes back what it opens, that other's sequence as its `close`. */
export interface Pair {
  readonly door: KnockdDoor;
  readonly close: KnockdDoor | null;
}

/** Puts open and close doors together by what they add and delete, then by their names. */
export function paired(doors: readonly KnockdDoor[], { warn }: Findings): readonly Pair[] {
  const taken = new Map<KnockdDoor, KnockdDoor>();
  const merged = new Set<KnockdDoor>();
  for (const close of doors) {
    if (!takesBack(close)) continue;
    const fits = doors.filter(
      (door) => door !== close && (opensWhat(door.start, close.start) || byNumber(door, close)),
    );
    if (fits.length === 0) {
      if (close.start?.does === 'delete' && close.start.numbered === null)
        warn(
          close.line,
          close.name,
          'deletes a rule that no other door adds; kept as a command, which finds nothing to delete',
        );
      continue;
    }
    merged.add(close);
    const free = fits.filter((door) => !taken.has(door));
    const whole = free.filter((door) => sameOpening(door.start, close.start));
    const alike = (whole.length > 0 ? whole : free).find((door) => stem(door.name) === stem(close.name));
    const open = alike ?? whole[0] ?? free[0];
    if (open === undefined) {
      warn(
        close.line,
        close.name,
        `a door has one close sequence, and ${fits.map(({ name }) => name).join(', ')} has one: left out, so this sequence closes nothing; knock the other`,
      );
      continue;
    }
    // One that takes the ports of several doors back closes them all.
    const several = whole.length > 0 ? [open] : free.filter((door) => covers(close.start, door.start));
    for (const door of several.length === 0 ? [open] : several) {
      taken.set(door, close);
      tellDifferences(door, close, warn);
    }
  }
  return doors.filter((door) => !merged.has(door)).map((door) => ({ door, close: taken.get(door) ?? null }));
}

function tellDifferences(open: KnockdDoor, close: KnockdDoor, warn: Findings['warn']): void {
  if (open.within !== close.within)
    warn(
      close.line,
      close.name,
      `opening and closing have one time limit here: the longer, ${Math.max(open.within, close.within)}s`,
    );
  if ((open.flags ?? 'syn') !== (close.flags ?? 'syn'))
    warn(
      close.line,
      close.name,
      `opening and closing have one rule for flags here: "${open.flags ?? 'syn'}"`,
    );
  if (open.start?.does === 'add' && !byNumber(open, close) && !covers(close.start, open.start))
    warn(
      close.line,
      close.name,
      `takes back a part of what ${open.name} opens; here it closes the whole door`,
    );
}

function takesBack(door: KnockdDoor): boolean {
  const { start } = door;
  if (start === null || door.timed || typeof door.knock === 'string') return false;
  return start.does === 'delete' || (start.does === 'run' && reversed(start.argv)?.does === 'delete');
}

/** Whether the one deletes by its number what the other of the same name opens. */
function byNumber({ start, name }: KnockdDoor, close: KnockdDoor): boolean {
  return (
    start?.does === 'add' &&
    close.start?.does === 'delete' &&
    close.start.numbered !== null &&
    stem(name) === stem(close.name)
  );
}

/** Whether the door's command makes something that the other takes back. */
function opensWhat(start: Action | null, close: Action | null): boolean {
  if (start === null || close === null) return false;
  if (start.does === 'add' && close.does === 'delete')
    return sameWho(start.rules, close.rules) && shares(start.rules.opens, close.rules.opens);
  if (start.does !== 'run' || close.does !== 'run') return false;
  const made = reversed(start.argv);
  return made?.does === 'add' && made.what === reversed(close.argv)?.what;
}

export function sameOpening(a: Action | null, b: Action | null): boolean {
  if (a?.does === 'run' && b?.does === 'run') return true;
  if (a === null || b === null || a.does === 'run' || b.does === 'run') return false;
  return sameWho(a.rules, b.rules) && portsText(a.rules.opens) === portsText(b.rules.opens);
}

/** Who is let in, and to which machine. Who takes back for everybody does so for the knocker too. */
function sameWho(a: Rules, b: Rules): boolean {
  return a.grantee === b.grantee && (a.to?.host ?? '') === (b.to?.host ?? '');
}

function shares(a: readonly PortRange[], b: readonly PortRange[]): boolean {
  return a.some((range) =>
    b.some(
      (other) => range.protocol === other.protocol && range.first <= other.last && other.first <= range.last,
    ),
  );
}

function covers(a: Action | null, b: Action | null): boolean {
  if (a === null || b === null || a.does === 'run' || b.does === 'run') return true;
  return b.rules.opens.every((range) =>
    a.rules.opens.some(
      (other) => range.protocol === other.protocol && other.first <= range.first && range.last <= other.last,
    ),
  );
}

export function portsText(ranges: readonly PortRange[]): string {
  return ranges.map(formatPortRange).join(', ');
}

/** The words by which firewall programs make and take back. */
const TURNS: Readonly<Record<string, 'add' | 'delete'>> = {
  '-A': 'add',
  '-I': 'add',
  '--append': 'add',
  '--insert': 'add',
  '-D': 'delete',
  '--delete': 'delete',
  add: 'add',
  insert: 'add',
  delete: 'delete',
  del: 'delete',
};

/** What a command of a firewall program makes or takes back, so that the one is known by the other. */
function reversed(
  argv: readonly string[],
): { readonly does: 'add' | 'delete'; readonly what: string } | null {
  const [program = '', ...rest] = argv;
  const name = program.split('/').pop() ?? '';
  if (!/^(ip6?tables|nft|ipset|ip)$/.test(name)) return null;
  const at = rest.findIndex((word) => Object.hasOwn(TURNS, word));
  const does = TURNS[rest[at] ?? ''];
  if (does === undefined) return null;
  // What shuts out is no opening: it stands where no door opened, too.
  if (rest.some((word) => /^(drop|reject|tarpit)$/i.test(word))) return null;
  // A rule's number, or an element's time, is not what is taken back.
  const what = [...rest.slice(0, at), ...rest.slice(at + 1)]
    .join(' ')
    .replace(/ (timeout|comment) \S+/g, '')
    .replace(/^(\S+) \d+ /, '$1 ');
  return { does, what: `${name} ${what}` };
}

/** Seconds after which a set's element goes by itself; null: never. */
export function timeoutOf(action: Action): number | null {
  const words = action.argv;
  const value = words[words.indexOf('timeout') + 1] ?? '';
  const match = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$/.exec(value);
  if (!words.includes('timeout') || match === null) return null;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((each) => Number(each ?? 0));
  const all = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
  return all > 0 ? all : null;
}

/** `openSSH`, `closeSSH` and `opencloseSSH` are all about `ssh`. */
export function stem(name: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  const short = plain.replace(/^(open-?close|open|close)[-_]?/, '').replace(/[-_]?(open|close)$/, '');
  return (short === '' ? plain || 'door' : short).slice(0, DOOR_NAME_MAX);
}
