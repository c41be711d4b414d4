import { describe, expect, it } from 'vitest';
import { type Clock, createClock, createStamps, watchWallClock } from '../../src/clock.ts';

function fakes(start = 1_795_000_000_000): {
  clock: ReturnType<typeof createClock>;
  pass(ms: number): void;
  set(by: number): void;
  sleep(ms: number): void;
} {
  let mono = 5_000.25;
  let boot = 70_000;
  let real = start;
  const clock = createClock(
    () => mono,
    () => Math.floor(real),
    () => Math.floor(boot / 10) * 10,
  );
  return {
    clock,
    pass(ms) {
      mono += ms;
      boot += ms;
      real += ms;
    },
    set(by) {
      real += by;
    },
    sleep(ms) {
      boot += ms;
      real += ms;
    },
  };
}

describe('stamps', () => {
  it('keep the order and the distance of packets to well under a millisecond', () => {
    const { clock, pass } = fakes();
    const stamps = createStamps(clock);
    let real = 1_795_000_000_000;
    let last = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < 2000; index += 1) {
      pass(0.37);
      real += 0.37;
      stamps.begin();
      const at = stamps.at(real);
      expect(at).toBeGreaterThan(last - 0.001);
      if (index > 100) expect(at - last).toBeLessThan(0.4);
      last = at;
    }
  });

  it.each(['monotonic', 'wall'])(
    'stay where they are where the program is kept from running after a look at the %s clock',
    (which) => {
      let real = 1_795_000_000_000;
      let untilThen = Number.POSITIVE_INFINITY;
      const look = (name: string, time: number): number => {
        if (name === which) untilThen -= 1;
        if (untilThen === 0) real += 17;
        return time;
      };
      const monotonic = (): number => look('monotonic', real - 1_794_000_000_000);
      const stamps = createStamps(createClock(monotonic, () => look('wall', Math.floor(real)), monotonic));
      stamps.begin();
      const before = stamps.at(real) - real;
      for (let times = 0; times < 100; times += 1) {
        real += 1;
        const stamp = real;
        untilThen = 1 + (times % 3);
        stamps.begin();
        expect(Math.abs(stamps.at(stamp) - stamp - before)).toBeLessThan(1);
      }
    },
  );

  // Against: stamps from before the wall clock was set
  // by: not believed in the batch in which that is noticed
  it('are not believed right after the wall clock was set, in either direction', () => {
    for (const by of [3_600_000, -3_600_000, 300]) {
      const { clock, pass, set } = fakes();
      const stamps = createStamps(clock);
      const stamp = clock.wall();
      set(by);
      pass(10);
      stamps.begin();
      expect(stamps.at(stamp)).toBe(clock.now());
      expect(stamps.stamped).toBe(false);
    }
  });

  it('that are missing leave the packet at now, and say so', () => {
    const { clock } = fakes();
    const stamps = createStamps(clock);
    stamps.begin();
    expect(stamps.at(0)).toBe(clock.now());
    expect(stamps.stamped).toBe(false);
  });
});

/** What a watch says of the clock. */
function watched(clock: Clock): { readonly seen: string[]; readonly watch: { look(): void } } {
  const seen: string[] = [];
  const watch = watchWallClock(
    clock,
    () => seen.push('set'),
    () => seen.push('slept'),
  );
  return { seen, watch };
}

describe('the wall clock', () => {
  it('that is set is noticed, one that is slewed is not', () => {
    const { clock, pass, set } = fakes();
    const moves: number[] = [];
    const watch = watchWallClock(
      clock,
      (by) => moves.push(by),
      () => moves.push(Number.NaN),
    );
    for (let second = 0; second < 100; second += 1) {
      pass(1000);
      set(0.5);
      watch.look();
    }
    set(-7_200_000);
    watch.look();
    expect(moves).toHaveLength(1);
    expect(moves[0]).toBeCloseTo(-7_200_000, -1);
  });

  it.each([
    ['sleeps for the night', 28_800_000, 0],
    ['sleeps for the night, after which the clock is set right by a second', 28_800_000, 1_000],
    ['sleeps for three seconds', 3_000, 0],
  ])('that runs on while the machine %s has what is due ended by then', (_, ms, correction) => {
    const { clock, pass, set, sleep } = fakes();
    const { seen, watch } = watched(clock);
    for (let night = 1; night <= 3; night += 1) {
      const at = clock.now();
      const wall = clock.wallOf(at);
      pass(1_000);
      sleep(ms);
      set(correction);
      watch.look();
      watch.look();
      expect(Math.abs(clock.now() - at - ms - 1_000)).toBeLessThanOrEqual(20);
      // A grant's end in wall time is where it was.
      expect(Math.abs(clock.wallOf(at) - wall - correction)).toBeLessThanOrEqual(20);
    }
    expect(seen).toEqual(['slept', 'slept', 'slept']);
  });

  it('that is set while the machine is awake, or by something else than it slept, moves no end', () => {
    for (const [asleep, by] of [
      [0, 28_800_000],
      [0, -28_800_000],
      [28_800_000, 28_800_000],
      [28_800_000, -28_800_000],
    ] as const) {
      const { clock, pass, set, sleep } = fakes();
      const { seen, watch } = watched(clock);
      const at = clock.now();
      pass(1_000);
      sleep(asleep);
      set(by);
      watch.look();
      expect(clock.now() - at).toBe(1_000);
      // Where the two undo each other nothing is to be seen.
      expect(seen).toEqual(asleep + by === 0 ? [] : ['set']);
      sleep(60_000);
      watch.look();
      expect(clock.now() - at).toBe(61_000);
      expect(seen.at(-1)).toBe('slept');
    }
  });

  it('moves what is told in wall time, and nothing on the engine’s clock', () => {
    const { clock, set } = fakes();
    const at = clock.now();
    const before = clock.wallOf(at);
    set(60_000);
    expect(clock.now()).toBe(at);
    expect(clock.wallOf(at) - before).toBeCloseTo(60_000, -1);
  });
});
