import { describe, expect, it } from 'vitest';
import { keptOf, rowOfRegister } from '../../../src/daemon/fleet-registers.ts';
import { createBudget, DEFAULT_LIMITS } from '../../../src/fleet/budget.ts';
import { createEarly } from '../../../src/fleet/early.ts';
import { createBusClock } from '../../../src/fleet/offset.ts';
import type { BanRegister, Register } from '../../../src/fleet/register.ts';
import { resume } from '../../../src/fleet/resume.ts';
import { createView } from '../../../src/fleet/view.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import { createFleetKept } from '../../../src/state/fleet-kept.ts';

/** By the wall clock of this machine, which is this far ahead of the bus's. */
const AHEAD = 3_000;
const MINUTE = 60_000;

function world() {
  const clock = createBusClock({
    now: () => 0,
    wallOffset: () => AHEAD,
    after: () => () => {},
    random: () => 0,
  });
  const view = createView(clock, createBudget(DEFAULT_LIMITS), {
    accepts: () => true,
    longest: () => MINUTE,
    opensFor: () => undefined,
    tombs: () => MINUTE,
  });
  return { clock, view, early: createEarly(view, clock) };
}

function ban(last: number, since: number, gen = 0): BanRegister {
  return {
    kind: 'ban',
    target: hostCidr(ipv4(last)),
    cause: 'strikes',
    gen,
    since,
    until: since + MINUTE,
    count: 1,
  };
}

const momentsOf = (registers: readonly Register[]): readonly unknown[] =>
  registers.map((each) => (each.kind === 'ban' ? [each.since, each.until] : each));
const never = (): never => {
  throw new Error('there is nothing to keep');
};

describe('what a member decides before the bus has told it the time', () => {
  it('is kept with moments that are right, also where its row is written after the time is known', () => {
    const { clock, early } = world();
    const made = early.made([ban(7, AHEAD)]);
    const decided = early.decide(made, never);
    expect(momentsOf(early.right(decided))).toEqual([[AHEAD, AHEAD + MINUTE]]);
    clock.sample(0, 0, 0);
    expect(momentsOf(early.correct())).toEqual([[0, MINUTE]]);
    expect(momentsOf(early.right(decided))).toEqual([[0, MINUTE]]);
  });

  it('is put right where the time becomes known between its making and its decision', () => {
    const { clock, early } = world();
    const made = early.made([ban(7, AHEAD)]);
    clock.sample(0, 0, 0);
    const kept: Register[] = [];
    expect(momentsOf(early.right(made))).toEqual([[0, MINUTE]]);
    const decided = early.decide(made, (registers) => kept.push(...registers));
    expect(momentsOf(decided)).toEqual([[0, MINUTE]]);
    expect(momentsOf(kept)).toEqual([[0, MINUTE]]);
    expect(momentsOf(early.right(decided))).toEqual([[0, MINUTE]]);
  });

  it('is each put right as what it came to: a longer ban of the same address has a row of its own', () => {
    const { clock, early } = world();
    const [first, second] = [AHEAD, AHEAD + 10].map((since) =>
      early.decide(early.made([ban(7, since)]), never),
    );
    clock.sample(0, 0, 0);
    expect(momentsOf(early.correct())).toEqual([[10, 10 + MINUTE]]);
    expect(momentsOf(early.right(first ?? []))).toEqual([[0, MINUTE]]);
    expect(momentsOf(early.right(second ?? []))).toEqual([[10, 10 + MINUTE]]);
  });

  it('is stamped anew where it was a lift, and what knew of the lift goes on knowing it', () => {
    const { clock, early } = world();
    const gen = clock.stamp();
    const lifted = early.decide(early.made([{ ...ban(7, AHEAD, gen), until: 0 }]), never);
    const again = early.decide(early.made([ban(7, AHEAD + 20, gen)]), never);
    clock.sample(0, 0, 1_000);
    early.correct();
    const gens = [...early.right(lifted), ...early.right(again)].map((each) => each.gen);
    expect(gens[0]).toBe(gens[1]);
    expect(clock.isProvisional(gens[0] ?? gen)).toBe(false);
  });
});

describe('what a member decided in lives that never knew the time', () => {
  /** A life of the member, from what the state file has on. */
  function live(file: ReturnType<typeof createFleetKept>, known: readonly Register[] = []) {
    const { clock, view, early } = world();
    resume({ ...keptOf(file.all()), known }, { view, early, put() {} });
    const write = (registers: readonly Register[]): void => {
      for (const register of registers) file.apply(rowOfRegister(register, early.unsettled(register)));
    };
    return {
      clock,
      say: (register: Register): void => write(early.decide(early.made([register]), never)),
      /** Its row is written before it is decided, as an opening's is. */
      make: (register: Register): void => write(early.made([register])),
      stamp: clock.stamp,
      know(time: number): readonly Register[] {
        clock.sample(0, 0, time);
        view.correctKept();
        const right = early.correct();
        write(right);
        return right;
      },
    };
  }

  it('is put right in the one that does, and stays so', () => {
    const file = createFleetKept();
    live(file).say(ban(7, AHEAD));
    live(file).make(ban(8, AHEAD));
    expect(momentsOf(live(file).know(0))).toEqual([
      [0, MINUTE],
      [0, MINUTE],
    ]);
    expect(keptOf(file.all()).early).toEqual([]);
    expect(live(file).know(0)).toEqual([]);
    expect(momentsOf([...keptOf(file.all()).untold])).toEqual([
      [0, MINUTE],
      [0, MINUTE],
    ]);
  });

  it('leaves moments that were right as they were', () => {
    const file = createFleetKept();
    const first = live(file);
    first.know(0);
    first.say({ ...ban(7, 10), until: 3 * MINUTE });
    live(file).say(ban(7, AHEAD + 20));
    live(file).say(ban(7, AHEAD + 30));
    expect(momentsOf(live(file).know(0))).toEqual([[30, 3 * MINUTE]]);
  });

  it('puts right what others had said before a restart with it', () => {
    const file = createFleetKept();
    live(file, [{ ...ban(7, AHEAD), until: AHEAD + 3 * MINUTE }]).say(ban(7, AHEAD + 20));
    expect(momentsOf(live(file).know(0))).toEqual([[20, 3 * MINUTE]]);
  });

  it('takes nothing of that into what it had said with moments that are right', () => {
    const file = createFleetKept();
    const first = live(file);
    first.know(0);
    first.say(ban(7, 10));
    const second = live(file, [ban(7, AHEAD + 10)]);
    second.know(0);
    second.say({ ...ban(7, 5), until: 5 });
    expect(momentsOf([...keptOf(file.all()).untold])).toEqual([[10, 10 + MINUTE]]);
  });

  it('stamps its lifts in their order, and what knew of one goes on knowing it', () => {
    const file = createFleetKept();
    const first = live(file);
    const lift = first.stamp();
    first.say({ ...ban(7, 0, lift), until: 0 });
    first.say({ ...ban(8, 0, lift), until: 0 });
    const second = live(file);
    const later = second.stamp();
    second.say({ ...ban(7, 0, later), until: 0 });
    second.say(ban(9, AHEAD, lift));
    const third = live(file);
    const right = third.know(1_000);
    const [seven = 0, eight = 0, nine = 0] = [7, 8, 9].map(
      (last) => right.find((each) => each.kind === 'ban' && each.target.address.a === last)?.gen,
    );
    expect(eight).toBe(nine);
    expect(seven).toBeGreaterThan(eight);
    expect(third.clock.isProvisional(eight)).toBe(false);
  });
});

it('what is decided once the time is known stays as it is', () => {
  const { clock, early } = world();
  clock.sample(0, 0, 0);
  const made = early.made([ban(7, 50)]);
  const decided = early.decide(made, never);
  expect(momentsOf(early.right(decided))).toEqual([[50, 50 + MINUTE]]);
  expect(early.correct()).toEqual([]);
});
