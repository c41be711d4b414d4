import { formatPort, inRange, type PortSpec } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';
import { guessing } from './guessing.ts';
import { type OneTimeFacts, type Warning, warning } from './warning.ts';

/** One-time sequences below which it is time to write more. */
const FEW_SEQUENCES = 5;
/** Sequences below which guessing is a matter of patience: 2^20. */
const SEQUENCES_SAFE = 1_048_576;
const SHORT_STEPS = 3;
/**
 * Doors with the same first knock of which each has its own attempt to keep, for every packet that anybody sends there:
 * most share one (src/engine/kin.ts). Of more a packet costs more than twice what it costs with one.
 */
const SAME_FIRST_MOST = 2;
/** What judging a packet of a flood takes for each of them, measured with 200, and for one door; in microseconds. */
const MICROS_EACH = 1.9;

/** What makes a door's sequence easy to guess, or to scan. */
export function ofSequence(door: Door, steps: readonly PortSpec[], config: Config): Warning[] {
  const key = `doors.${door.name}.${'oneTime' in door.knock ? 'one_time' : 'knock'}`;
  const found: Warning[] = [];
  const everyPort = config.decoys === 'all';
  if (steps.length === 1) {
    found.push(
      warning(
        'one-knock',
        key,
        'one packet opens the door, so a scan that comes to it does',
        'knock on three ports or more',
      ),
    );
  } else if (steps.length > 1 && steps.length < SHORT_STEPS) {
    found.push(
      warning(
        'few-knocks',
        key,
        `${steps.length} knocks are quickly guessed`,
        'knock on three ports or more',
      ),
    );
  }
  const order = scanOrder(steps);
  if (order !== undefined && !everyPort && !interrupted(steps, door, config)) {
    const fix = 'mix the order, or write "decoys: all", or put a decoy between the ports';
    found.push(
      warning(
        `ports-${order}`,
        key,
        `the ports are in ${order} order with no decoy between, so a scan in that order opens the door`,
        fix,
      ),
    );
  }
  const guess = guessing(door, config, steps.length);
  if (
    guess !== undefined &&
    steps.length > 1 &&
    guess.method === 'scan' &&
    guess.sequences < SEQUENCES_SAFE
  ) {
    const chance = Math.max(2, Math.round(guess.sequences)).toLocaleString('en');
    found.push(
      warning(
        'few-decoys',
        'decoys',
        `only some ports are watched, so about one in ${chance} scans in random order opens the door ${door.name}`,
        'write "decoys: all"',
      ),
    );
  }
  if (door.tolerate > 0) found.push(ofTolerance(door));
  return found;
}

function ofTolerance(door: Door): Warning {
  const packets = door.tolerate === 1 ? 'packet' : 'packets';
  return warning(
    'tolerate',
    `doors.${door.name}.tolerate`,
    `letting ${door.tolerate} wrong ${packets} pass lets a guesser make mistakes that nothing counts`,
    'write 0 unless someone forges packets in the name of your knockers',
  );
}

/** Whether the steps are of one protocol and in the order of a linear scan. */
function scanOrder(steps: readonly PortSpec[]): 'ascending' | 'descending' | undefined {
  const [first] = steps;
  if (first === undefined || steps.length < 2 || steps.some(({ protocol }) => protocol !== first.protocol))
    return undefined;
  const pairs = steps.slice(1).map((step, index) => step.port - (steps[index]?.port ?? 0));
  if (pairs.every((step) => step > 0)) return 'ascending';
  return pairs.every((step) => step < 0) ? 'descending' : undefined;
}

/** Whether a watched port of the same protocol, not of this door's steps, lies between the first and the last. */
function interrupted(steps: readonly PortSpec[], door: Door, config: Config): boolean {
  const ports = steps.map(({ port }) => port);
  const [low, high] = [Math.min(...ports), Math.max(...ports)];
  const protocol = steps[0]?.protocol;
  const decoy =
    config.decoys !== 'all' &&
    config.decoys.some((range) => {
      for (let port = Math.max(low, range.first); port <= Math.min(high, range.last); port += 1) {
        const spec = { protocol: range.protocol, port: port as PortSpec['port'] };
        const used = [...config.allow, ...config.doors.flatMap(({ opens }) => opens)].some((each) =>
          inRange(each, spec),
        );
        if (range.protocol === protocol && !ports.includes(spec.port) && !used) return true;
      }
      return false;
    });
  // With `tolerate` a few other knock ports do not interrupt.
  const others = config.doors.flatMap(({ knock, close }) => [...('oneTime' in knock ? [] : knock), ...close]);
  const between = others.filter(
    (step) => step.protocol === protocol && step.port > low && step.port < high && !ports.includes(step.port),
  );
  return decoy || new Set(between.map(formatPort)).size > door.tolerate;
}

/** What is wrong with the file of a one-time door. */
export function ofOneTime(door: Door, { left, unreadable, broken }: OneTimeFacts): Warning[] {
  const key = `doors.${door.name}.one_time`;
  if (unreadable !== null)
    return [
      warning(
        'one-time-unreadable',
        key,
        `the file cannot be read (${unreadable}), so the door stays shut`,
        'make it, one sequence a line such as 80:tcp,443:tcp,53:udp',
      ),
    ];
  const found: Warning[] = [];
  if (broken.length > 0)
    found.push(
      warning(
        'one-time-broken',
        key,
        `line ${broken.slice(0, 5).join(', ')} of the file is not a valid sequence; skipped`,
        'write it as 80:tcp,443:tcp,53:udp, with neighbours that differ',
      ),
    );
  if (left === 0)
    found.push(
      warning(
        'one-time-none',
        key,
        'no sequence is left, so the door stays shut',
        'add sequences to the file',
      ),
    );
  else if (left < FEW_SEQUENCES)
    found.push(
      warning(
        'one-time-few',
        key,
        `only ${left} ${left === 1 ? 'sequence is' : 'sequences are'} left`,
        'add sequences to the file',
      ),
    );
  return found;
}

/** Sequences of other doors that lie inside this one. */
export function ofOthers(door: Door, steps: readonly PortSpec[], config: Config): Warning[] {
  const own = ` ${steps.map(formatPort).join(' ')} `;
  return config.doors.flatMap((other) => {
    if (other === door || 'oneTime' in other.knock || other.knock.length >= steps.length) return [];
    if (!own.includes(` ${other.knock.map(formatPort).join(' ')} `)) return [];
    return [
      warning(
        'inside-another',
        `doors.${other.name}.knock`,
        `anyone who knocks for ${door.name} opens ${other.name} on the way`,
        'choose ports of its own, unless that is meant',
      ),
    ];
  });
}

/** Doors that share ports, whose knocks a guesser of one makes for the other; and a close that is the knock reversed. */
export function ofSharing(door: Door, steps: readonly PortSpec[], config: Config): Warning[] {
  const own = steps.map(formatPort);
  const found: Warning[] = [];
  if (own.length > 1 && own.toReversed().join() === door.close.map(formatPort).join()) {
    found.push(
      warning(
        'close-reverses-knock',
        `doors.${door.name}.close`,
        'the close is the knock in reverse, which clients that repeat their knocks backwards send by themselves',
        'close with ports of their own, or leave close out: the grant ends by itself',
      ),
    );
  }
  const before = config.doors.slice(0, config.doors.indexOf(door));
  for (const other of before) {
    if ('oneTime' in other.knock) continue;
    const shared = other.knock.map(formatPort).filter((port) => own.includes(port));
    if (new Set(shared).size < 2) continue;
    found.push(
      warning(
        'doors-share-ports',
        `doors.${door.name}.knock`,
        `it shares ${[...new Set(shared)].join(', ')} with the door ${other.name}, so a guesser who tries orders of these ports tries both doors at once`,
        'choose ports of its own for each door',
      ),
    );
  }
  return [...found, ...ofFirstKnock(door, steps, config), ...ofMarks(door, own, before)];
}

/** A packet bears one mark: of doors that share a knock port the first one's, which a table of others may not accept. */
function ofMarks(door: Door, own: readonly string[], before: readonly Door[]): Warning[] {
  const hex = (mark: number): string => `0x${mark.toString(16)}`;
  const { grantMark } = door;
  if (grantMark === null) return [];
  return before.flatMap(({ name, knock, grantMark: first }) => {
    if (first === null || first === grantMark || 'oneTime' in knock) return [];
    const shared = knock.map(formatPort).filter((port) => own.includes(port));
    if (shared.length === 0) return [];
    const ports = [...new Set(shared)].join(', ');
    return warning(
      'marks-share-ports',
      `doors.${door.name}.grant_mark`,
      `knocks to ${ports} are also knocks for the door ${name} and get its mark ${hex(first)}: a table that accepts only ${hex(grantMark)} drops them, and ${door.name} does not open`,
      'give both doors the same grant_mark, or knock ports of their own',
    );
  });
}

/** Said once, at the first of the doors that begin with the same knock. */
function ofFirstKnock(door: Door, [first]: readonly PortSpec[], { doors }: Config): Warning[] {
  if (first === undefined) return [];
  const port = formatPort(first);
  const alike = doors.filter(({ knock }) => {
    const begins = 'oneTime' in knock ? undefined : knock[0];
    return begins !== undefined && formatPort(begins) === port;
  });
  const apart = new Set(alike.map(attemptOf)).size;
  if (apart <= SAME_FIRST_MOST || alike[0] !== door) return [];
  return [
    warning(
      'same-first-knock',
      `doors.${door.name}.knock`,
      `${alike.length} doors begin with ${port}, whose codes have their digits in ${apart} ways, so each packet to it is judged for each of these: that takes some ${Math.round(apart * MICROS_EACH)} µs instead of 2 to 3, and a flood of more than ${Math.round(1000 / (apart * MICROS_EACH))},000 packets a second there delays the knocks of others`,
      'begin with another port at each door',
    ),
  ];
}

/** What tells a door's attempts apart from those at other doors that begin with the same knock. */
function attemptOf({ knock }: Door): string {
  if ('oneTime' in knock) return '';
  return knock.map(({ digits = 0 }) => digits).join(' ');
}
