import { createEngine } from '../engine/engine.ts';
import type { DoorSettings, EngineSettings } from '../engine/settings.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { emptyPacket } from '../packet/packet.ts';
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

/** With what the streams were searched, and for how many ports through to the end. */
const SEARCHED = { strikes: 3, tolerate: 0, ports: 3 } as const;

/**
 * The figure for one door by itself, with the bans of this configuration; undefined where no stream is known, or a port
 * comes twice.
 */
export function ordersOpened(settings: EngineSettings, door: DoorSettings): OrdersOpened | undefined {
  const ports = portsOf(door);
  const stream = BEST_STREAMS[ports.length - 1];
  // Digits are not put in another order.
  const isCode = door.knock.some(({ digits }) => digits !== undefined);
  if (isCode || stream === undefined || ports.length !== door.knock.length) return undefined;
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
  const ports = portsOf(door);
  const orders = ordersOf(ports);
  const engine = createEngine(
    {
      ...settings,
      doors: [{ ...door, oneTime: false, close: [], holders: null }],
      decoys: [],
      allow: [],
      sources: 4 * orders.length + 16,
      repeats: REPEATS,
      bans: { ...settings.bans, never: [], limit: orders.length + 1 },
    },
    [0x6f72_6465, 0x7273_2121],
  );
  const packet = emptyPacket();
  const apart = Math.max(APART_MS, door.gap.min);
  let opened = 0;
  for (const [index, order] of orders.entries()) {
    packet.source0 = FIRST_SOURCE + index;
    let isOpen = false;
    for (const [place, letter] of [...stream].entries()) {
      const spec = order[letter.charCodeAt(0) - 'a'.charCodeAt(0)];
      if (spec === undefined) continue;
      packet.protocol = PROTOCOL_NUMBER[spec.protocol];
      packet.flags = spec.protocol === 'tcp' ? TCP_FLAG.syn : 0;
      packet.port = spec.port;
      packet.sourcePort = 1024 + place;
      packet.sequence = place;
      engine.judge(packet, milliseconds(1000 + place * apart), (event) => {
        isOpen ||= event.event === 'door.opened';
      });
    }
    if (isOpen) opened += 1;
  }
  return opened;
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
