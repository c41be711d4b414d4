import { describe, expect, it } from 'vitest';
import type { Bus } from '../../../src/fleet/bus.ts';
import { AHEAD_MAX, askTime, createBusClock, TICKS } from '../../../src/fleet/offset.ts';

function clockAt(start: number): { at: number; clock: ReturnType<typeof createBusClock> } {
  const machine = { at: start };
  const clock = createBusClock({
    now: () => machine.at,
    wallOffset: () => 1_000_000,
    after: () => () => {},
    random: () => 0,
  });
  return Object.assign(machine, { clock });
}

describe('the clock of the bus', () => {
  it('is the wall clock until the bus has been asked, and then what the quickest answer says', () => {
    const machine = clockAt(100);
    expect(machine.clock.now()).toBe(1_000_100);
    expect(machine.clock.isKnown()).toBe(false);
    machine.clock.sample(100, 140, 5_020);
    machine.clock.sample(200, 204, 5_112);
    machine.clock.sample(300, 390, 5_260);
    expect(machine.clock.offset()).toBe(4_910);
    expect(machine.clock.uncertainty()).toBe(2);
    expect(machine.clock.toLocal(machine.clock.toBus(77))).toBe(77);
  });

  it('follows a clock that drifts: old samples are forgotten', () => {
    const { clock } = clockAt(0);
    clock.sample(0, 1, 1_000);
    for (let second = 1; second <= 16; second += 1) clock.sample(second, second + 5, 2_000 + second);
    expect(clock.offset()).toBe(1_997.5);
  });

  it.each(['once', 'again'] as const)(
    'is that of another engine as soon as that has answered, however slowly: %s',
    (how) => {
      const { clock } = clockAt(0);
      clock.sample(0, 1, 1_000);
      clock.sample(10, 20, 61_015, how);
      expect(clock.offset()).toBe(61_000);
      clock.sample(20, 21, 61_021);
      expect(clock.offset()).toBe(61_000.5);
    },
  );

  it('is asked some times more where it answers slowly, and what is quickest of them counts as one answer', () => {
    const machine = clockAt(0);
    const took = [40, 9, 20, 3, 0.4, 7];
    let asked = 0;
    const time: Bus['time'] = (done) => {
      machine.at += took[asked] ?? 0;
      asked += 1;
      done({ ok: true, value: 5_000 + machine.at });
    };
    const bus = { time } as Bus;
    let known = 0;
    for (let beat = 0; beat < 2; beat += 1) {
      askTime({ bus, clock: machine.clock, now: () => machine.at }, () => {
        known += 1;
      });
      expect(asked).toBe(beat === 0 ? 5 : 11);
      expect(machine.clock.uncertainty()).toBeCloseTo(0.2);
      took.splice(0, took.length, ...Array.from({ length: 11 }, () => 2));
    }
    expect(known).toBe(2);
    // Of each time one is kept: 16 later ones are needed until the first is forgotten.
    for (let second = 0; second < 14; second += 1) machine.clock.sample(0, 8, 5_004);
    expect(machine.clock.uncertainty()).toBeCloseTo(0.2);
    machine.clock.sample(0, 8, 5_004);
    expect(machine.clock.uncertainty()).toBe(1);
  });

  it('stamps lifts so that a later one is newer, also where the clock stands or goes back', () => {
    const machine = clockAt(0);
    machine.clock.sample(0, 0, 1_000_000);
    const first = machine.clock.stamp();
    expect(machine.clock.stamp()).toBe(first + 1);
    machine.at = -500;
    expect(machine.clock.stamp()).toBe(first + 2);
    machine.clock.resume(first + 900);
    expect(machine.clock.stamp()).toBe(first + 901);
  });

  it('is never behind a stamp that it saw, and believes none from more than 5 s ahead', () => {
    const { clock } = clockAt(0);
    clock.sample(0, 0, 1_000_000);
    const edge = (1_000_000 + AHEAD_MAX) * TICKS;
    expect(clock.see(edge + 1)).toBe(false);
    expect(clock.stamp()).toBeLessThan(edge);
    expect(clock.see(edge)).toBe(true);
    expect(clock.stamp()).toBe(edge + 1);
  });

  it('does not stamp by the wall clock: one that is decades ahead would be believed by nobody ever after', () => {
    const { clock } = clockAt(0);
    clock.resume(640);
    expect(clock.stamp()).toBe(641);
    expect(clock.isProvisional(641)).toBe(true);
    clock.sample(0, 0, 50);
    expect(clock.stamp()).toBe(50 * TICKS);
    expect(clock.isProvisional(50 * TICKS)).toBe(false);
  });
});
