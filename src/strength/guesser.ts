import { createEngine, type Engine } from '../engine/engine.ts';
import type { DoorSettings, EngineSettings } from '../engine/settings.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { emptyPacket, type Packet } from '../packet/packet.ts';
import { formatPort, type PortSpec, PROTOCOL_NUMBER } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';

/** What one stream of knocks from one address gains a guesser who knows a door's ports, but not their order. */
export interface OrdersOpened {
  /** The ports that the sequence is made of, each once. */
  readonly ports: number;
  /** The orders that they can stand in. */
  readonly orders: number;
  /** Of these, how many the best stream known opens before it is banned. */
  readonly opened: number;
  /** Whether no stream opens more; else more is possible, and this is what is known. */
  readonly isMost: boolean;
}

/**
 * The best streams that a search has found, by the number of ports: the ports in the order in which they are sent. For
 * three it went through every stream that could gain anything; for more it is what a wide search found, so the figure
 * is the least that a guesser gains. test/property/guesser.test.ts searches on and fails where it finds a better one.
 */
export const BEST_STREAMS: readonly string[] = ['a', 'aba', 'abcbacb', 'abcadcabdc', 'abcdabcedabc'];

/** Packets whose repeats the engine knows: more than all streams are. */
const REPEATS = 8192;
const FIRST_SOURCE = 0x0a00_0000;
const APART_MS = 10;
/** How often a guesser goes through all orders; twice is enough unless chance gave the engine something to forget. */
const ROUNDS = 3;

/** With what the streams were searched, and for how many ports through to the end. */
const SEARCHED = { strikes: 3, tolerate: 0, ports: 3 } as const;

/**
 * The figure for one door by itself, with the bans of this configuration; undefined where no stream is known, or a port
 * comes twice.
 */
export function ordersOpened(settings: EngineSettings, door: DoorSettings): OrdersOpened | undefined {
  const ports = portsOf(door);
  const stream = streamOf(door);
  if (stream === undefined) return undefined;
  const { strikes, enforce } = settings.bans;
  const orders = factorial(ports.length);
  // Who is never banned sends one order after the other.
  const opened = enforce ? openedBy(settings, door, stream) : orders;
  const isSearched = strikes === SEARCHED.strikes && door.tolerate === SEARCHED.tolerate;
  const isMost = opened === orders || (isSearched && ports.length <= SEARCHED.ports);
  return { ports: ports.length, orders, opened, isMost };
}

/**
 * How many orders of the door's ports a stream opens. Each order is a guesser of its own: he sends the stream with the
 * ports named as that order would have them, which is the same as another door.
 */
export function openedBy(settings: EngineSettings, door: DoorSettings, stream: string): number {
  const orders = ordersOf(portsOf(door));
  const engine = createGuessed(settings, door, orders.length);
  const apart = apartOf(settings, door);
  const packet = emptyPacket();
  let opened = 0;
  for (const [index, order] of orders.entries()) {
    packet.source0 = FIRST_SOURCE + index;
    let isOpen = false;
    for (const [place, letter] of [...stream].entries()) {
      if (!fill(packet, portAt(order, letter), place)) continue;
      engine.judge(packet, milliseconds(1000 + place * apart), (event) => {
        isOpen ||= event.event === 'door.opened';
      });
    }
    if (isOpen) opened += 1;
  }
  return opened;
}

/**
 * Seconds until one address that knows the ports has opened the door with an even chance. He sends one order after the
 * other as fast as the bans permit, and waits for his strikes to be forgotten before the last one that he may have;
 * where the first is a ban already, he waits for its end. Undefined where that is not tried: no door by key or code, and
 * no more than five ports, each of which comes once.
 */
export function orderedTime(settings: EngineSettings, door: DoorSettings): number | undefined {
  if (streamOf(door) === undefined) return undefined;
  const ports = portsOf(door);
  const orders = ordersOf(ports);
  const stream = orders.flatMap((order) => order.map((port) => ports.indexOf(port)));
  const times = orders
    .map((order) => timeOf(settings, door, { order, stream }))
    .sort((one, other) => one - other);
  const half = times[Math.ceil(times.length / 2) - 1];
  return half === undefined ? undefined : half / 1000;
}

interface Guess {
  /** What the sequence is in truth. */
  readonly order: readonly PortSpec[];
  /** The ports as the guesser sends them, by their place in the sequence as he knows it. */
  readonly stream: readonly number[];
}

/** Milliseconds; Infinity where the door stays shut. */
function timeOf(settings: EngineSettings, door: DoorSettings, { order, stream }: Guess): number {
  const { strikes, within, enforce } = settings.bans;
  const engine = createGuessed(settings, { ...door, knock: order }, 1);
  const ports = portsOf(door);
  const apart = apartOf(settings, door);
  const packet = emptyPacket();
  packet.source0 = FIRST_SOURCE;
  const began = 1000;
  let now = began;
  let [isOpen, mustWait] = [false, false];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [place, index] of stream.entries()) {
      const [ban] = enforce ? engine.bans() : [];
      if (ban !== undefined) now = ban.until + 1;
      else if (mustWait && enforce) now += within + 1;
      mustWait = false;
      now += apart;
      if (!fill(packet, ports[index], round * stream.length + place)) continue;
      engine.judge(packet, milliseconds(now), (event) => {
        isOpen ||= event.event === 'door.opened';
        mustWait ||= 'strikes' in event && (event.strikes ?? 0) >= strikes - 1;
      });
      if (isOpen) return now - began;
    }
  }
  return Number.POSITIVE_INFINITY;
}

/** Milliseconds from one packet of a guesser to the next: fewer would be an offence by themselves. */
function apartOf({ bans: { rate } }: EngineSettings, { gap }: DoorSettings): number {
  return Math.max(APART_MS, gap.min, rate.per / rate.packets + 1);
}

function createGuessed(settings: EngineSettings, door: DoorSettings, guessers: number): Engine {
  return createEngine(
    {
      ...settings,
      doors: [{ ...door, oneTime: false, close: [], holders: null }],
      decoys: [],
      allow: [],
      sources: 4 * guessers + 16,
      repeats: REPEATS,
      bans: { ...settings.bans, never: [], limit: guessers + 1 },
    },
    [0x6f72_6465, 0x7273_2121],
  );
}

function portAt(order: readonly PortSpec[], letter: string): PortSpec | undefined {
  return order[letter.charCodeAt(0) - 'a'.charCodeAt(0)];
}

/** Makes it a knock on this port, and no repeat; false: there is no such port. */
function fill(packet: Packet, spec: PortSpec | undefined, place: number): boolean {
  if (spec === undefined) return false;
  packet.protocol = PROTOCOL_NUMBER[spec.protocol];
  packet.flags = spec.protocol === 'tcp' ? TCP_FLAG.syn : 0;
  packet.port = spec.port;
  packet.sourcePort = 1024 + (place % 60_000);
  packet.sequence = place;
  return true;
}

/** The best stream known for a door of so many ports; undefined: none is, or a port comes twice, or is a code's. */
function streamOf(door: DoorSettings): string | undefined {
  const ports = portsOf(door);
  // Digits are not put in another order.
  const isCode = door.knock.some(({ digits }) => digits !== undefined);
  return isCode || ports.length !== door.knock.length ? undefined : BEST_STREAMS[ports.length - 1];
}

function portsOf({ knock }: DoorSettings): readonly PortSpec[] {
  return [...new Map(knock.map((spec) => [formatPort(spec), spec] as const)).values()];
}

function ordersOf(ports: readonly PortSpec[]): readonly (readonly PortSpec[])[] {
  if (ports.length < 2) return [ports];
  return ports.flatMap((first) =>
    ordersOf(ports.filter((each) => each !== first)).map((rest) => [first, ...rest]),
  );
}

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1);
}
