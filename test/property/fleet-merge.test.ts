import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BanRegister,
  type GrantRegister,
  merge,
  type Register,
  registerKey,
  sameState,
} from '../../src/fleet/register.ts';
import { ipv4, ipv6 } from '../../src/packet/address.ts';
import { hostCidr } from '../../src/packet/cidr.ts';

/** Few values, so that ties are met often: they are where laws break. */
const few = fc.integer({ min: 0, max: 3 });
const ban: fc.Arbitrary<BanRegister> = fc
  .record({ gen: few, since: few, until: few, count: few })
  .map((drawn) => ({ kind: 'ban', target: hostCidr(ipv4(1)), cause: 'strikes', ...drawn }));
const source = fc.constantFrom(ipv4(1), ipv4(-1), ipv6(1, 2, 3, 4), ipv6(1, 2, 3, -4));
const grant: fc.Arbitrary<GrantRegister> = fc
  .record({ gen: few, opened: few, until: few, source, uses: fc.constantFrom(null, 1, 2) })
  .map((drawn) => ({ kind: 'grant', door: 'ssh', grantee: 'any', ...drawn }));
const amnesty: fc.Arbitrary<Register> = few.map((gen) => ({ kind: 'amnesty', gen }));
const kinds = [ban, grant, amnesty] as const;

describe('registers that members merge', () => {
  it.each(kinds.map((kind, index) => [['bans', 'grants', 'amnesties'][index], kind] as const))(
    'of %s: associative, commutative and idempotent',
    (_, kind) => {
      fc.assert(
        fc.property(kind, kind, kind, (one, two, three) => {
          expect(merge(one, merge(two, three))).toEqual(merge(merge(one, two), three));
          expect(merge(one, two)).toEqual(merge(two, one));
          expect(merge(one, one)).toEqual(one);
          expect(sameState(one, two)).toBe(JSON.stringify(one) === JSON.stringify(two));
        }),
        { numRuns: 2_000 },
      );
    },
  );

  it('end in one state whatever the order, and however often each comes', () => {
    for (const kind of kinds) {
      fc.assert(
        fc.property(
          fc.array(kind, { minLength: 1, maxLength: 6 }),
          fc.infiniteStream(fc.nat()),
          (said, picks) => {
            const shuffled: Register[] = [...said];
            // Every one of them at least once, some again, in an order that is drawn.
            for (let again = 0; again < 4; again += 1)
              shuffled.push(said[(picks.next().value ?? 0) % said.length] as Register);
            for (let at = shuffled.length - 1; at > 0; at -= 1) {
              const other = (picks.next().value ?? 0) % (at + 1);
              [shuffled[at], shuffled[other]] = [shuffled[other] as Register, shuffled[at] as Register];
            }
            const all = (states: readonly Register[]): Register =>
              states.reduce((one, two) => merge(one, two));
            expect(all(shuffled)).toEqual(all(said));
          },
        ),
        { numRuns: 1_000 },
      );
    }
  });

  it('keep a lift above what did not know of it, and a ban made knowing it above the lift', () => {
    const made: BanRegister = {
      ...{ kind: 'ban', target: hostCidr(ipv4(1)), cause: 'strikes' },
      ...{ gen: 0, since: 10, until: 99, count: 2 },
    };
    const lift: BanRegister = { ...made, gen: 64, until: 0 };
    expect(merge(made, lift)).toEqual(lift);
    const again: BanRegister = { ...made, gen: 64, since: 20, until: 50, count: 3 };
    expect(merge(lift, again).until).toBe(50);
    expect(merge(again, merge(made, lift)).count).toBe(3);
  });

  it('are told apart by target and cause, door and grantee', () => {
    const strikes: BanRegister = {
      ...{ kind: 'ban', target: hostCidr(ipv4(1)), cause: 'strikes' },
      ...{ gen: 0, since: 0, until: 0, count: 0 },
    };
    const network = { address: ipv6(1, 2, 0, 0), bits: 64 };
    const keys = [
      strikes,
      { ...strikes, cause: 'order' as const },
      { ...strikes, target: hostCidr(ipv4(2)) },
      { ...strikes, target: network },
      { ...strikes, target: hostCidr(ipv6(1, 2, 0, 0)) },
    ].map(registerKey);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
