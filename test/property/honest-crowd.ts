import { createEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { emptyPacket } from '../../src/packet/packet.ts';
import type { PortSpec } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';

/** A line to a server: what share of packets it loses, and what share comes up to 20 ms late. */
export interface Line {
  readonly loss: number;
  readonly late: number;
}

/** How a crowd fared: shares of it. */
export interface Fared {
  readonly banned: number;
  readonly opened: number;
}

const TRIES = 5;
const PAUSE_MS = { least: 300, most: 10_000 };
const APART_MS = 1000;
const LATE_MS = 20;

/**
 * So many people with Debian's `knock`, each alone at his address: a SYN a step, none repeated, equal times between them;
 * who isn't in knocks again after a while, up to five times. Each is judged by the real engine.
 */
export function honestCrowd(
  settings: EngineSettings,
  people: number,
  line: Line,
  random: () => number,
): Fared {
  const engine = createEngine(settings, [1, 2]);
  const knocks = settings.doors[0]?.knock ?? [];
  let banned = 0;
  let opened = 0;
  for (let person = 0; person < people; person += 1) {
    const events = knockUntilIn(engine, person, knocks, line, random);
    if (events.some((event) => event.event === 'ban.added')) banned += 1;
    if (events.some((event) => event.event === 'door.opened')) opened += 1;
  }
  return { banned: banned / people, opened: opened / people };
}

function knockUntilIn(
  engine: ReturnType<typeof createEngine>,
  person: number,
  knocks: readonly PortSpec[],
  { loss, late }: Line,
  random: () => number,
): readonly EngineEvent[] {
  const events: EngineEvent[] = [];
  const packet = { ...emptyPacket(), protocol: 6, flags: 2, source0: 0x0a00_0000 + person };
  // Each begins where the last is forgotten: what one does is nothing to another, but the clock goes on.
  let now = 1_000_000 + person * 200_000;
  const apart = random() * APART_MS;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const arrivals = knocks.flatMap(({ port }, step) => {
      if (random() < loss) return [];
      return [{ at: now + step * apart + (random() < late ? random() * LATE_MS : 0), port }];
    });
    for (const { at, port } of arrivals.sort((x, y) => x.at - y.at)) {
      packet.port = port;
      packet.sourcePort = 1024 + Math.floor(random() * 60_000);
      packet.sequence = Math.floor(random() * 2 ** 32) | 0;
      engine.judge(packet, milliseconds(at), (event) => events.push(event));
    }
    if (events.some((event) => event.event === 'door.opened')) return events;
    now += (knocks.length - 1) * apart + PAUSE_MS.least + random() * (PAUSE_MS.most - PAUSE_MS.least);
  }
  return events;
}
