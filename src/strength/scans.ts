import { createEngine, type Engine } from '../engine/engine.ts';
import type { EngineEvent } from '../engine/event.ts';
import { roleTableOf } from '../engine/ports.ts';
import type { EngineSettings } from '../engine/settings.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { emptyPacket } from '../packet/packet.ts';
import { PORT_MAX, PROTOCOL_NUMBER } from '../packet/port.ts';
import { isUdp, type PortKey, portOf } from '../packet/port-key.ts';
import { milliseconds } from '../packet/time.ts';
import { isWatched, ROLE } from '../policy/port-roles.ts';

/** How one scan, or many of one kind, ended for a door. */
export interface ScanResult {
  readonly scans: number;
  /** Scans that opened this door. */
  readonly opened: number;
  /** Scans that were banned before their end. */
  readonly banned: number;
  /** Ports touched by the scan that was banned first and by the one banned last, that packet included; 0: none was. */
  readonly soonest: number;
  readonly latest: number;
}

export const SCAN_KINDS = ['up', 'down', 'nmap', 'random'] as const;
type ScanKind = (typeof SCAN_KINDS)[number];
export type DoorScans = Readonly<Record<ScanKind, ScanResult>>;

/** Scans of each kind unless the caller wants another number. */
const RANDOM_SCANS = 10_000;
const NMAP_SCANS = 100;
/** Table entries of the engine that is scanned, at least: every scan comes from an address of its own and is the only one. */
const TABLE_ENTRIES = 1024;
/** Packets whose repeats the engine knows: a scan touches each port once, and two scans are a day apart. */
const REPEATS = 1024;
/** Packets judged for one kind of scan; where nobody is banned, fewer scans are run for it. */
const PACKETS_MAX = 1_000_000;
const SCANS_OF_AN_ENGINE = 256;
/** Milliseconds between two ports: as fast as masscan does, and as nmap does over a network. */
const FAST = 0.01;
const UNHURRIED = 1;
/** Milliseconds between two scans, so that nothing of one is left in the next. */
const PAUSE = 86_400_000;
/** Scans come from 198.18.0.0/15, which is for tests of this kind (RFC 2544). */
const FIRST_SOURCE = 0xc612_0000;
/** nmap's default order is random, but some commonly accessible ports are moved near the beginning (nmap(1), -r). */
const NMAP_FIRST = [
  21, 22, 23, 25, 53, 80, 110, 111, 113, 135, 139, 143, 199, 256, 443, 445, 554, 587, 993, 995, 1025, 1720,
  1723, 3306, 3389, 5900, 8080, 8888,
];

/** The ports of a scan in their order, each with its place among all that are touched. */
type Order = Iterable<readonly [key: PortKey, place: number]>;

/**
 * Runs full port scans through the real engine: every port of TCP and UDP upwards and downwards (one protocol
 * after the other, and side by side), TCP in nmap's default order, and both in random order. The answer is by door.
 * The same settings give the same answer: chance is drawn from a fixed seed.
 */
export function runScans(
  settings: EngineSettings,
  randomScans: number = RANDOM_SCANS,
): ReadonlyMap<string, DoorScans> {
  const watched = watchedKeys(settings);
  const random = generator(0x6e66_6b6e);
  const linear = linearOrders(watched);
  const nmap = nmapOrders(watched, random);
  const runs: Record<ScanKind, Tally> = { up: tally(), down: tally(), nmap: tally(), random: tally() };
  const range = createRange(settings);
  for (const order of linear)
    for (const speed of [FAST, UNHURRIED]) {
      range.scan(order, speed, runs.up);
      range.scan(reversed(order), speed, runs.down);
    }
  for (let count = 0; count < NMAP_SCANS && runs.nmap.packets < PACKETS_MAX; count += 1)
    range.scan(nmap(), count % 2 === 0 ? FAST : UNHURRIED, runs.nmap);
  for (let count = 0; count < randomScans && runs.random.packets < PACKETS_MAX; count += 1)
    range.scan(randomOrder(watched, random), FAST, runs.random);
  return new Map(
    settings.doors.map(({ name }) => [
      name,
      {
        up: resultOf(runs.up, name),
        down: resultOf(runs.down, name),
        nmap: resultOf(runs.nmap, name),
        random: resultOf(runs.random, name),
      },
    ]),
  );
}

interface Tally {
  packets: number;
  scans: number;
  banned: number;
  soonest: number;
  latest: number;
  readonly opened: Map<string, number>;
}

function tally(): Tally {
  return { packets: 0, scans: 0, banned: 0, soonest: 0, latest: 0, opened: new Map() };
}

function resultOf({ scans, banned, soonest, latest, opened }: Tally, door: string): ScanResult {
  return { scans, banned, soonest, latest, opened: opened.get(door) ?? 0 };
}

/** An engine that one scan after the other is sent to. */
function createRange(settings: EngineSettings): {
  readonly scan: (order: Order, speed: number, into: Tally) => void;
} {
  // A scan can be part-way through every sequence of every door at once.
  const entries = Math.max(TABLE_ENTRIES, 4 * settings.doors.length);
  const fresh = (): Engine =>
    createEngine(
      {
        ...settings,
        sources: entries,
        repeats: REPEATS,
        bans: { ...settings.bans, limit: entries, never: [] },
      },
      [0x6b6e_6f63, 0x6b2e_7473],
    );
  let engine = fresh();
  const packet = emptyPacket();
  let now = 0;
  let scans = 0;
  const scan = (order: Order, speed: number, into: Tally): void => {
    // What is remembered of scans before must never push out what this one does.
    if (scans % SCANS_OF_AN_ENGINE === SCANS_OF_AN_ENGINE - 1) engine = fresh();
    const opened = new Set<string>();
    let banned = false;
    const emit = (event: EngineEvent): void => {
      if (event.event === 'door.opened' || event.event === 'door.renewed') opened.add(event.door);
      if (event.event === 'ban.added' && event.shadow === undefined) banned = true;
    };
    packet.source0 = (FIRST_SOURCE + (scans % 131_072)) | 0;
    let last = 0;
    for (const [key, place] of order) {
      packet.protocol = isUdp(key) ? PROTOCOL_NUMBER.udp : PROTOCOL_NUMBER.tcp;
      packet.port = portOf(key);
      packet.flags = isUdp(key) ? 0 : TCP_FLAG.syn;
      packet.sourcePort = 1024 + (place % 60_000);
      packet.sequence = place;
      engine.judge(packet, milliseconds(now + place * speed), emit);
      last = place;
      into.packets += 1;
      if (banned) break;
    }
    scans += 1;
    now += PAUSE;
    // What was opened ends, so that the next scan finds the door shut.
    for (const door of opened)
      engine.execute(
        { command: 'revoke', address: { family: 4, a: packet.source0, b: 0, c: 0, d: 0 }, door },
        milliseconds(now),
        () => {},
      );
    engine.execute({ command: 'unban_all' }, milliseconds(now), () => {});
    into.scans += 1;
    for (const door of opened) into.opened.set(door, (into.opened.get(door) ?? 0) + 1);
    if (!banned) return;
    into.banned += 1;
    into.soonest = into.soonest === 0 ? last + 1 : Math.min(into.soonest, last + 1);
    into.latest = Math.max(into.latest, last + 1);
  };
  return { scan };
}

/** The ports whose packets reach the daemon, in ascending order, UDP after TCP; chained ones may after a grant. */
export function watchedKeys(settings: EngineSettings): readonly PortKey[] {
  const knocks = { now: settings.doors.map(({ knock }) => knock), spent: [] };
  const watched: PortKey[] = [];
  roleTableOf(settings, knocks).forEach((role, key) => {
    const seen = isWatched(role, settings.bans) || (role & ROLE.knock) !== 0;
    if (seen && portOf(key) > 0) watched.push(key);
  });
  return watched;
}

/** Upwards: TCP and then UDP, UDP and then TCP, and both side by side. */
function linearOrders(watched: readonly PortKey[]): (readonly (readonly [PortKey, number])[])[] {
  const placed = (place: (key: PortKey) => number): (readonly [PortKey, number])[] =>
    watched.map((key) => [key, place(key)] as const).sort((a, b) => a[1] - b[1]);
  return [
    placed((key) => (isUdp(key) ? portOf(key) + PORT_MAX : key)),
    placed((key) => (isUdp(key) ? portOf(key) : key + PORT_MAX)),
    placed((key) => 2 * portOf(key) + (isUdp(key) ? 1 : 0)),
  ];
}

function reversed(order: readonly (readonly [PortKey, number])[]): Order {
  return order.map(([key, place]) => [key, 2 * PORT_MAX + 1 - place] as const).reverse();
}

/** All TCP ports in random order, the common ones first; each call is another such order. */
function nmapOrders(watched: readonly PortKey[], random: () => number): () => Order {
  const tcp = watched.filter((key) => !isUdp(key));
  const common = tcp.filter((key) => NMAP_FIRST.includes(key));
  const rest = tcp.filter((key) => !NMAP_FIRST.includes(key));
  return function* order() {
    let place = 0;
    for (const key of shuffledLazily(common, random)) yield [key, place++];
    yield* spread(rest, PORT_MAX - NMAP_FIRST.length, NMAP_FIRST.length, random);
  };
}

function randomOrder(watched: readonly PortKey[], random: () => number): Order {
  return spread(watched, 2 * PORT_MAX, 0, random);
}

/**
 * The watched ports in random order, at random places among `among` that a scan touches from `from` on. Each place is
 * drawn when the scan gets there, as the next of so many uniform draws in ascending order: most scans are banned early.
 */
function* spread(watched: readonly PortKey[], among: number, from: number, random: () => number): Order {
  const isDense = watched.length * 2 > among;
  let place = -1;
  let passed = 0;
  let left = watched.length;
  for (const key of shuffledLazily(watched, random)) {
    if (!isDense) passed = 1 - (1 - passed) * random() ** (1 / left);
    // No two at one place, and room for those that come after.
    place = isDense ? place + 1 : Math.min(Math.max(place + 1, Math.floor(passed * among)), among - left);
    left -= 1;
    yield [key, from + place];
  }
}

/** Fisher and Yates, one draw an item, so that a scan that is banned early costs little. */
function* shuffledLazily(items: readonly PortKey[], random: () => number): Iterable<PortKey> {
  const moved = new Map<number, PortKey>();
  for (let index = 0; index < items.length; index += 1) {
    const other = index + Math.floor(random() * (items.length - index));
    const here = moved.get(index) ?? items[index] ?? 0;
    const there = moved.get(other) ?? items[other] ?? 0;
    moved.set(other, here);
    yield there;
  }
}

/** Mulberry32: numbers from 0 to 1 that look random and come out the same for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
