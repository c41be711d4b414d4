import { describe, expect, it } from 'vitest';
import type { Bus } from '../../../src/fleet/bus.ts';
import type { Host } from '../../../src/fleet/host.ts';
import { createMemoryEngine } from '../../../src/fleet/memory-bus.ts';
import { createReassertion, type Reassertion } from '../../../src/fleet/reassert.ts';
import { type BanRegister, covers, registerKey } from '../../../src/fleet/register.ts';
import { rowOf } from '../../../src/fleet/row.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';

const MANY = 3_000;
/** Of so many none is late. */
const AT_ONCE = 512;

function ban(host: number): BanRegister {
  const moments = { gen: 0, since: 1_790_000_000_000, until: 1_790_000_600_000, count: 1 };
  return { kind: 'ban', target: hostCidr(ipv4(0x0b00_0000 + host)), cause: 'strikes', ...moments };
}
const bans = (from: number, to: number): BanRegister[] =>
  Array.from({ length: to - from }, (_, at) => ban(from + at));

interface World {
  readonly reassertion: Reassertion;
  readonly told: string[];
  readonly kept: string[];
  /** The most that was told, or kept, in one turn. */
  most(): number;
  /** Lets everything that is due happen, at most so many turns; answers how many there were. */
  run(turns?: number): number;
}

/** A member that has said these, whose engine holds those. */
function world(own: readonly BanRegister[], there: readonly BanRegister[]): World {
  const due: (() => void)[] = [];
  const engine = createMemoryEngine({
    wire: { carry: (_, __, arrive) => void due.push(arrive) },
    now: () => 1_790_000_000_000,
    fsync: 'always',
  });
  const bus: Bus = engine.bus('edge1');
  bus.listen({ connected() {}, disconnected() {}, heard() {} });
  const run = (turns = Number.POSITIVE_INFINITY): number => {
    let count = 0;
    for (; count < turns; count += 1) {
      const next = due.shift();
      if (next === undefined) break;
      next();
    }
    return count;
  };
  run();
  bus.tell({ rows: there.map((each) => rowOf(each, 'keep')), message: Uint8Array.of(1) }, () => undefined);
  run();
  const mine = new Map(own.map((each) => [registerKey(each), each]));
  const [told, kept]: [string[], string[]] = [[], []];
  let most = 0;
  const host = {
    keep(registers: readonly BanRegister[]) {
      most = Math.max(most, registers.length);
      kept.push(...registers.map(registerKey));
    },
    told() {},
  } as Pick<Host, 'keep' | 'told'>;
  const reassertion = createReassertion({
    ...{ member: 'edge1', bus, host },
    surroundings: {
      random: () => 0,
      after(_, go) {
        let off = false;
        due.push(() => off || go());
        return () => {
          off = true;
        };
      },
    },
    view: {
      *own() {
        yield* mine.values();
      },
      ownOf: (key) => mine.get(key),
      isOver: () => false,
      hear() {},
      say: (register) => register,
    },
    tell(registers) {
      const keys = [...registers].map(registerKey);
      most = Math.max(most, keys.length);
      told.push(...keys);
    },
    drop() {},
    carryOut() {},
  });
  return { reassertion, told, kept, run, most: () => most };
}

describe('after the engine was started anew', () => {
  it('a member says what is missing there, some in a turn', () => {
    const { reassertion, told, kept, run, most } = world(bans(0, MANY), bans(0, 1_000));
    reassertion.connected('settles');
    reassertion.begin();
    expect(run()).toBeGreaterThan(MANY / AT_ONCE);
    expect(told).toEqual(bans(1_000, MANY).map(registerKey));
    expect(kept).toEqual([]);
    expect(most()).toBeLessThanOrEqual(AT_ONCE);
  });

  it('it has back what it does not know of any more, some in a turn', () => {
    const { reassertion, told, kept, run, most } = world([], bans(0, MANY));
    reassertion.connected('settles');
    reassertion.begin();
    run();
    expect(new Set(kept)).toEqual(new Set(bans(0, MANY).map(registerKey)));
    expect(told).toEqual([]);
    expect(most()).toBeLessThanOrEqual(AT_ONCE);
  });

  it('it begins again where a cut came in between, and only then', () => {
    const { reassertion, told, run } = world(bans(0, MANY), []);
    reassertion.connected('settles');
    reassertion.begin();
    while (told.length === 0) run(1);
    reassertion.disconnected();
    run();
    expect(told.length).toBe(AT_ONCE);
    reassertion.connected('goes on');
    reassertion.begin();
    run();
    expect(told.length).toBe(AT_ONCE + MANY);
    // It is done: another cut brings nothing up again.
    reassertion.disconnected();
    reassertion.connected('goes on');
    reassertion.begin();
    run();
    expect(told.length).toBe(AT_ONCE + MANY);
  });

  it('says what it says otherwise by now', () => {
    const longer = { ...ban(1), until: ban(1).until + 1_000 };
    expect(covers(longer, ban(1))).toBe(true);
    const { reassertion, told, run } = world([ban(0), longer], bans(0, 2));
    reassertion.connected('settles');
    reassertion.begin();
    run();
    expect(told).toEqual([registerKey(longer)]);
  });
});
