import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { createRandom, type Random } from '../simulation/clock.ts';
import { createScatterFleet } from '../simulation/scatter.ts';
import { door, packetOf, ports, settings } from '../unit/engine/world.ts';

/* One engine that is sent everything, beside members of a fleet that are each sent some of it. */

const DOORS = [
  ['ssh', ['7000', '8000/udp', '9000']],
  ['web', ['7000', '9100/udp', '9000', '8100']],
  ['mail', ['6000', '8000/udp', '6100']],
] as const;
const SOURCES = 12;
const HISTORIES = 25;

function doors(): EngineSettings {
  return settings({
    sources: 4_096,
    doors: DOORS.map(([name, knock]) => door({ name, knock: ports(...knock), for: milliseconds(3_000) })),
  });
}

interface Sent {
  readonly at: number;
  readonly packet: Packet;
}

/** People who know their sequence: some repeat a knock, some pause for too long and begin again. */
function honest(random: Random): readonly Sent[] {
  const sent: Sent[] = [];
  let serial = 0;
  for (let source = 0; source < SOURCES; source += 1) {
    let at = random.between(0, 2_000);
    for (let tries = 0; tries < 3; tries += 1) {
      const [, knock] = random.pick(DOORS);
      const gap = random.pick([20, 60, 300]);
      const given = random.chance(0.15) ? knock.slice(0, 2) : knock;
      for (const port of given) {
        serial += 1;
        const options = { from: `198.51.100.${source + 1}`, sequence: serial, sourcePort: 1_024 + serial };
        const packet = packetOf(port, options);
        sent.push({ at, packet });
        at += gap + random.between(0, gap);
      }
      at += random.between(5_500, 9_000);
    }
  }
  return sent.sort((x, y) => x.at - y.at);
}

/** Each opening, by whom and of which door. */
function tally(events: readonly EngineEvent[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const event of events) {
    if ((event.event !== 'door.opened' && event.event !== 'door.renewed') || event.origin !== undefined)
      continue;
    const key = `${event.door} ${event.source.a}`;
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return found;
}

const strikesOf = (events: readonly EngineEvent[]): number =>
  events.filter((event) => 'strikes' in event && (event.strikes ?? 0) > 0).length;

describe('members of a fleet that share knocks', () => {
  it('open to honest people what one machine would, and no more', () => {
    let [opened, lost, more, struck, struckAlone] = [0, 0, 0, 0, 0];
    for (let seed = 1; seed <= HISTORIES; seed += 1) {
      const random = createRandom(seed);
      const sent = honest(random);
      const engine = createEngine(doors(), [1, 2]);
      const events: EngineEvent[] = [];
      for (const { at, packet } of sent)
        engine.judge({ ...packet }, milliseconds(1e6 + at), (event) => events.push(event));
      const fleet = createScatterFleet({ settings: doors(), members: 2 + (seed % 3), seed, delay: [0.2, 4] });
      const begin = fleet.clock.now();
      for (const { at, packet } of sent)
        fleet.clock.at(begin + at, () => fleet.random.pick(fleet.machines).judge(packet));
      fleet.pass(60_000);
      const theirs = fleet.machines.flatMap((machine) => machine.events);
      const [alone, together] = [tally(events), tally(theirs)];
      for (const key of new Set([...alone.keys(), ...together.keys()])) {
        const [one, other] = [alone.get(key) ?? 0, together.get(key) ?? 0];
        opened += one;
        lost += Math.max(0, one - other);
        more += Math.max(0, other - one);
      }
      struckAlone += strikesOf(events);
      struck += strikesOf(theirs);
      fleet.stop();
    }
    expect(opened).toBeGreaterThan(HISTORIES * 10);
    expect({ lost, more, struck: struck - struckAlone }, `${opened} openings`).toEqual({
      lost: 0,
      more: 0,
      struck: 0,
    });
  });
});
