import { createEngine, type Engine } from '../../../src/engine/engine.ts';
import type { EngineEvent } from '../../../src/engine/event.ts';
import type { Outcome } from '../../../src/engine/outcome.ts';
import type { EngineSettings } from '../../../src/engine/settings.ts';
import type { SourceState } from '../../../src/engine/sources.ts';
import { type Address, formatAddress, parseAddress } from '../../../src/packet/address.ts';
import { type Cidr, formatCidr, parseCidr } from '../../../src/packet/cidr.ts';
import { type FlagRule, parseFlags, TCP_FLAG } from '../../../src/packet/flags.ts';
import { emptyPacket, type Packet } from '../../../src/packet/packet.ts';
import {
  formatPort,
  type PortRange,
  type PortSpec,
  parsePort,
  parsePortRange,
} from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';

function defined<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the test itself is wrong');
  return value;
}

export const ports = (...texts: string[]): PortSpec[] => texts.map((text) => defined(parsePort(text)));
export const ranges = (...texts: string[]): PortRange[] => texts.map((text) => defined(parsePortRange(text)));
export const cidr = (text: string): Cidr => defined(parseCidr(text));
export const address = (text: string): Address => defined(parseAddress(text));
export const flags = (text: string): FlagRule => defined(parseFlags(text));

type Door = EngineSettings['doors'][number];

export function door(overrides: Partial<Door> = {}): Door {
  return {
    name: 'ssh',
    knock: ports('7000', '8000/udp', '9000'),
    oneTime: false,
    close: [],
    within: milliseconds(10_000),
    gap: { min: milliseconds(0), max: milliseconds(5_000) },
    tolerate: 0,
    flags: flags('syn'),
    opens: ranges('22/tcp'),
    for: milliseconds(30_000),
    uses: null,
    holders: null,
    grant: 'source',
    ...overrides,
  };
}

interface Overrides extends Partial<Omit<EngineSettings, 'bans'>> {
  readonly bans?: Partial<EngineSettings['bans']>;
}

export function settings(overrides: Overrides = {}): EngineSettings {
  return {
    doors: [door()],
    decoys: ranges('23/tcp', '161/udp', '2300-2399/tcp'),
    allow: [],
    sources: 1024,
    ...overrides,
    bans: {
      strikes: 3,
      within: milliseconds(60_000),
      for: milliseconds(600_000),
      escalate: 2,
      max: milliseconds(7 * 86_400_000),
      rate: { packets: 20, per: milliseconds(1_000) },
      never: [],
      strikeOnService: false,
      enforce: true,
      limit: 1024,
      ...overrides.bans,
    },
  };
}

/** An engine, a clock that only moves when told to, and what the engine said. */
export interface World {
  readonly engine: Engine;
  readonly events: EngineEvent[];
  now: number;
  /** A packet from `source` to `port`, after `wait` ms; every packet is a new one unless `same` names it. */
  send(port: string, options?: SendOptions): Outcome;
  knock(...portTexts: string[]): void;
  names(): string[];
  /** What was said since the last look: name, and source or target. */
  said(): string[];
  pass(ms: number): void;
}

export interface SendOptions {
  readonly from?: string;
  readonly flags?: number;
  readonly sourcePort?: number;
  readonly sequence?: number;
  readonly stamped?: boolean;
}

export function world(given: EngineSettings = settings()): World {
  const engine = createEngine(given, [1, 2]);
  const events: EngineEvent[] = [];
  let serial = 0;
  let read = 0;
  const self: World = {
    engine,
    events,
    now: 1_000_000,
    send(port, options = {}) {
      serial += 1;
      const packet = packetOf(port, { sourcePort: 1024 + (serial % 60_000), sequence: serial, ...options });
      return engine.judge(packet, milliseconds(self.now), (event) => events.push(event));
    },
    knock(...portTexts) {
      for (const port of portTexts) {
        self.now += 100;
        self.send(port);
      }
    },
    names: () => events.map((event) => event.event),
    said() {
      const fresh = events.slice(read).map(sentence);
      read = events.length;
      return fresh;
    },
    pass(ms) {
      self.now += ms;
      engine.expire(milliseconds(self.now), (event) => events.push(event));
    },
  };
  return self;
}

export function packetOf(port: string, options: SendOptions): Packet {
  const spec = defined(parsePort(port));
  const from = address(options.from ?? '198.51.100.7');
  return {
    ...emptyPacket(),
    family: from.family,
    protocol: spec.protocol === 'tcp' ? 6 : 17,
    source0: from.a,
    source1: from.b,
    source2: from.c,
    source3: from.d,
    sourcePort: options.sourcePort ?? 40_000,
    port: spec.port,
    flags: spec.protocol === 'tcp' ? (options.flags ?? TCP_FLAG.syn) : 0,
    sequence: spec.protocol === 'tcp' ? (options.sequence ?? 0) : 0,
    stamped: options.stamped ?? true,
  };
}

/** An event in one line, without its moment: what the tests compare. */
export function sentence(event: EngineEvent): string {
  const words: string[] = [event.event];
  if ('target' in event) words.push(formatCidr(event.target));
  if ('source' in event) words.push(formatAddress(event.source));
  if ('door' in event && event.door !== undefined) words.push(event.door);
  if ('port' in event) words.push(formatPort(event.port));
  if ('step' in event && event.step !== undefined) words.push(`${event.step}/${event.of}`);
  if ('reason' in event && event.reason !== undefined) words.push(`(${event.reason})`);
  if ('strikes' in event && event.strikes !== undefined) words.push(`#${event.strikes}`);
  return words.join(' ');
}

/** Who has strikes or is on the way, as the whole search finds them. */
export function sourcesOf(w: World, limit: number): readonly SourceState[] {
  const search = w.engine.sources(milliseconds(w.now), limit);
  for (;;) {
    const piece = search.next();
    if (piece.done === true) return piece.value;
  }
}
