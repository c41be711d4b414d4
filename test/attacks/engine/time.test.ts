import { describe, expect, it } from 'vitest';
import { createClock } from '../../../src/clock.ts';
import { createIntake } from '../../../src/daemon/intake.ts';
import { createEngine } from '../../../src/engine/engine.ts';
import type { EngineEvent } from '../../../src/engine/event.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { door, settings } from '../../unit/engine/world.ts';
import { tcp, udp } from '../../unit/source/capture-bytes.ts';

const OWNER = '198.51.100.7';
const HERE = '192.0.2.1';
const HOUR = 3_600_000;
const KNOCKS = [
  tcp({ from: OWNER, to: HERE, port: 7000, sequence: 1 }),
  udp(OWNER, HERE, 40_001, 8000),
  tcp({ from: OWNER, to: HERE, port: 9000, sequence: 3 }),
];

/** The way of a packet from the queue to its judgement, with both clocks in the test's hand. */
function line(): {
  readonly events: EngineEvent[];
  /** Lets time pass on both clocks. */
  pass(ms: number): void;
  /** Sets the wall clock. */
  set(by: number): void;
  /** A stamp as the kernel would set one now. */
  stamp(): number;
  /** What was waiting is read at once: packets and their stamps, 0 for none. */
  read(packets: readonly Buffer[], stamps: readonly number[]): void;
  open(): number;
} {
  let mono = 5_000;
  let real = 1_795_000_000_000;
  const clock = createClock(
    () => mono,
    () => Math.floor(real),
    () => mono,
  );
  const gap = { min: milliseconds(200), max: milliseconds(5_000) };
  const engine = createEngine(settings({ doors: [door({ gap })], bans: { strikes: 1 } }), [1, 2]);
  const events: EngineEvent[] = [];
  const intake = createIntake({
    clock,
    engine,
    history: { record: () => undefined, of: () => [], forgotten: () => 0 },
    emit: (event) => void events.push(event),
    after: () => undefined,
    isFull: () => false,
    prove: () => false,
    share: (_, outcome) => outcome,
  });
  return {
    events,
    pass(ms) {
      mono += ms;
      real += ms;
      engine.expire(clock.now(), (event) => void events.push(event));
    },
    set(by) {
      real += by;
    },
    stamp: () => real,
    read(packets, stamps) {
      const bytes = Buffer.concat(packets);
      const offsets = Int32Array.from(packets, (_, index) =>
        packets.slice(0, index).reduce((sum, packet) => sum + packet.length, 0),
      );
      const lengths = Int32Array.from(packets, (packet) => packet.length);
      intake.onBatch({ bytes, offsets, lengths, stamps: Float64Array.from(stamps) }, packets.length);
    },
    open: () => engine.grants().length,
  };
}

const names = (events: readonly EngineEvent[]): string[] => events.map((event) => event.event);

describe('a daemon that could not read for a while', () => {
  // Against: a stalled event loop that makes honest knocks seem too fast
  // by: the kernel's stamps
  it('judges knocks by the moments of their arrival: 250 ms apart is not too fast, though read at once', () => {
    const l = line();
    const stamps = KNOCKS.map(() => {
      l.pass(250);
      return l.stamp();
    });
    l.pass(3_000);
    l.read(KNOCKS, stamps);
    expect(l.open()).toBe(1);
    expect(names(l.events)).not.toContain('knock.too_fast');
  });

  it('still finds too fast what came too fast', () => {
    const l = line();
    const stamps = KNOCKS.map(() => {
      l.pass(50);
      return l.stamp();
    });
    l.pass(3_000);
    l.read(KNOCKS, stamps);
    expect(l.open()).toBe(0);
    expect(names(l.events)).toContain('knock.too_fast');
  });

  // Against: packets that have no stamp
  // by: nobody is too fast on them
  it('finds nobody too fast where the packets have no stamps', () => {
    const l = line();
    l.pass(3_000);
    l.read(KNOCKS, [0, 0, 0]);
    expect(l.open()).toBe(1);
  });
});

describe('a wall clock that jumps', () => {
  // Against: a wall clock set forward or back
  // by: the monotonic clock
  it.each([
    ['an hour forward', HOUR],
    ['an hour back', -HOUR],
    ['ten years forward', 87_600 * HOUR],
    ['ten years back', -87_600 * HOUR],
  ])('%s between two knocks neither breaks them off nor bans', (_, by) => {
    const l = line();
    KNOCKS.forEach((knock, index) => {
      l.pass(250);
      if (index === 1) l.set(by);
      l.read([knock], [l.stamp()]);
    });
    expect(names(l.events)).toEqual(['knock.accepted', 'knock.accepted', 'knock.accepted', 'door.opened']);
  });

  // Against: a clock set back to keep a grant
  // by: the monotonic clock
  it.each([HOUR, -HOUR])('by %i ms ends no grant early, keeps none longer, and opens none again', (by) => {
    const l = line();
    for (const knock of KNOCKS) {
      l.pass(250);
      l.read([knock], [l.stamp()]);
    }
    l.set(by);
    l.pass(29_999);
    expect(l.open()).toBe(1);
    l.pass(1);
    expect(l.open()).toBe(0);
    l.set(-by);
    l.pass(1_000);
    l.read(KNOCKS.slice(2), [l.stamp()]);
    expect(l.open()).toBe(0);
  });

  // Against: a wall clock that stays wrong
  // by: its distance is taken anew for each batch
  it.each([HOUR, -HOUR])(
    'by %i ms leaves stamps that are believed again once the wall clock stands',
    (by) => {
      const l = line();
      l.read([], []);
      l.set(by);
      l.read([], []);
      // Read at once, and too fast only by their stamps.
      const stamps = KNOCKS.map(() => {
        l.pass(50);
        return l.stamp();
      });
      l.pass(3_000);
      l.read(KNOCKS, stamps);
      expect(names(l.events)).toContain('knock.too_fast');
    },
  );

  it('does not make slow knocks of quick ones, nor the other way', () => {
    const l = line();
    l.read(KNOCKS.slice(0, 1), [l.stamp()]);
    l.pass(6_000);
    l.set(-5_800);
    l.read(KNOCKS.slice(1, 2), [l.stamp()]);
    l.pass(250);
    l.read(KNOCKS.slice(2), [l.stamp()]);
    expect(l.open()).toBe(0);
  });
});

describe('stamps that lie', () => {
  // Against: stamps from the future that make honest knocks seem too fast
  // by: not believed, so nobody is too fast on them
  it('from the future, read at once, make nobody too fast', () => {
    const l = line();
    l.pass(3_000);
    l.read(
      KNOCKS,
      KNOCKS.map(() => l.stamp() + 60_000),
    );
    expect(l.open()).toBe(1);
  });

  // Against: stamps that lie
  // by: they are held to the monotonic clock
  it.each([
    ['from the future', 60_000],
    ['from an hour ago', -HOUR],
    ['that are no number', Number.NaN],
    ['without end', Number.POSITIVE_INFINITY],
  ])('%s are not believed, and knocks are judged by when they were read', (_, by) => {
    const l = line();
    for (const knock of KNOCKS) {
      l.pass(250);
      l.read([knock], [l.stamp() + by]);
    }
    expect(l.open()).toBe(1);
    l.pass(29_999);
    expect(l.open()).toBe(1);
    l.pass(1);
    expect(l.open()).toBe(0);
  });
});
