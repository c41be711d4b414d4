import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createGrants, type Grant } from '../../../src/engine/grant.ts';
import { createSubjects } from '../../../src/engine/subject.ts';
import { contains, formatCidr, hostCidr } from '../../../src/packet/cidr.ts';
import { address, cidr, door, ports, ranges, settings, world } from './world.ts';

const HOSTS = ['198.51.100.7', '198.51.100.8', '2001:db8::7', '2001:db8::8', '2001:db8:0:1::7'].map(address);
const GRANTEES: readonly Grant['grantee'][] = [
  'any',
  ...HOSTS.slice(0, 4).map(hostCidr),
  cidr('198.51.100.0/24'),
  cidr('2001:db8::/64'),
];

const asText = (grantee: Grant['grantee']): string => (grantee === 'any' ? 'any' : formatCidr(grantee));

describe('the grants in force', () => {
  const step = fc.record({
    door: fc.nat(1),
    grantee: fc.constantFrom(...GRANTEES),
    source: fc.constantFrom(...HOSTS),
    until: fc.nat(9),
    what: fc.constantFrom('add', 'claim', 'extend', 'remove'),
  });

  it('are held by who knocked for them last and by those whom they are to, but not by everyone', () => {
    const subjects = createSubjects([1, 2]);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
        const grants = createGrants();
        let plain: Grant[] = [];
        for (const { door: index, grantee, source, until, what } of steps) {
          const there = plain.find((each) => each.door === index && asText(each.grantee) === asText(grantee));
          expect(grants.find(index, grantee)).toBe(there);
          if (there === undefined) {
            const blank = { since: 0, opened: 0, usesLeft: null, reason: null, holder: null };
            const grant: Grant = { door: index, grantee, source, until, ...blank };
            expect(grants.add(grant)).toBe(true);
            plain.push(grant);
          } else if (what === 'claim') grants.claim(there, source);
          else if (what === 'extend') grants.extend(there, until);
          else {
            grants.remove(there);
            plain = plain.filter((each) => each !== there);
          }
          for (const host of HOSTS) {
            subjects.ofAddress(host);
            const held = plain.filter(({ source: whose, grantee: to }) => {
              return whose === host || (to !== 'any' && contains(to, host));
            });
            expect(new Set(grants.heldBy(subjects.subject))).toEqual(new Set(held));
            expect(grants.heldBy(subjects.subject)).toHaveLength(held.length);
          }
          expect(grants.all()).toEqual(plain);
          expect(grants.ofDoor(1)).toEqual(plain.filter((each) => each.door === 1));
          expect(grants.size()).toBe(plain.length);
          const soonest = Math.min(...plain.map((each) => each.until));
          expect(grants.deadline()).toBe(soonest);
          expect(grants.first()?.until).toBe(plain.length === 0 ? undefined : soonest);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('places at a door', () => {
  it('are given up by who opened or renewed it longest ago', () => {
    const w = world(settings({ doors: [door({ knock: ports('1'), opens: ranges('22'), holders: 2 })] }));
    const knock = (from: string): void => {
      w.now += 1;
      w.send('1', { from });
    };
    for (const from of ['192.0.2.1', '192.0.2.2', '192.0.2.1', '192.0.2.3']) knock(from);
    expect(w.said()).toContain('door.closed 192.0.2.2 ssh (moved)');
    knock('192.0.2.4');
    expect(w.said()).toContain('door.closed 192.0.2.1 ssh (moved)');
    expect(w.engine.grants()).toHaveLength(2);
  });
});
