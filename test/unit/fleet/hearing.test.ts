import { expect, it } from 'vitest';
import { createBudget, DEFAULT_LIMITS } from '../../../src/fleet/budget.ts';
import { createHearing } from '../../../src/fleet/hearing.ts';
import { encode } from '../../../src/fleet/message.ts';
import { createBusClock } from '../../../src/fleet/offset.ts';
import type { BanRegister } from '../../../src/fleet/register.ts';
import { createTraffic } from '../../../src/fleet/traffic.ts';
import { createView } from '../../../src/fleet/view.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';

const NOW = 1_790_000_000_000;

function listener(): {
  hearing: ReturnType<typeof createHearing>;
  at: { now: number };
  used: string[];
  read: string[];
  said: { number: number };
  carried: { bans: number };
  traffic: ReturnType<typeof createTraffic>;
} {
  const at = { now: 0 };
  const [used, read]: string[][] = [[], []];
  const [said, carried] = [{ number: 0 }, { bans: 0 }];
  const now = (): number => at.now;
  const clock = createBusClock({ now, wallOffset: () => NOW, after: () => () => {}, random: () => 0 });
  clock.sample(0, 0, NOW);
  const budget = createBudget({ ...DEFAULT_LIMITS, bansPerSecond: 1_000_000, bans: 1_000_000 });
  const view = createView(clock, budget, {
    ...{ accepts: () => true, longest: () => 86_400_000, opensFor: () => undefined, tombs: () => 86_400_000 },
  });
  const unused = (): never => expect.unreachable();
  const traffic = createTraffic();
  const hearing = createHearing({
    ...{ name: 'edge1', view, clock, budget, traffic, now, tell: unused, knocks: unused },
    readMarks: (door) => void read?.push(`${door} ${at.now}`),
    reader: () => ({
      ...{ catchUp: unused, said: unused, disconnected: unused, reread: unused, anew: unused },
      ...{ forget: unused, hasRead: unused },
      heard(_, number) {
        said.number = number;
      },
    }),
    host: {
      ...{ told: unused, keep: unused, drop: unused, shed: unused, marks: unused, doors: unused },
      apply({ bans }) {
        carried.bans += bans.length;
      },
      refused: () => undefined,
      used: (door) => void used?.push(door),
      oneTimeDoors: () => ['ssh'],
      report: () => undefined,
    },
  });
  return { hearing, at, used: used ?? [], read: read ?? [], said, carried, traffic };
}

const line = (door: string, at: number): Uint8Array =>
  encode({
    ...{ kind: 'used', number: 0, time: NOW },
    records: [{ door, digest: at.toString(16).padStart(32, '0') }],
  });

it('lines that were used up are read again where there were too many, and offences take nothing of their room', () => {
  const { hearing, at, used, read } = listener();
  for (let count = 0; count < 400; count += 1) hearing.heard('edge2', line('ssh', count));
  expect(used).toHaveLength(400);
  for (let count = 0; count < 400; count += 1) hearing.heard('edge2', line('ssh', count));
  // Of doors that nobody here has nothing is read.
  hearing.heard('edge2', line('other', 1));
  expect(used.length).toBeLessThan(520);
  hearing.beat();
  expect(read).toEqual([]);
  for (at.now = 1_000; at.now < 30_000; at.now += 1_000) hearing.beat();
  expect(read).toEqual(['ssh 1000']);
});

it('what a member says is not even looked at where it is more than a mebibyte in a second', () => {
  const { hearing, at, said, carried, traffic } = listener();
  let host = 0;
  const message = (number: number): Uint8Array => {
    const records = Array.from({ length: 256 }, (): BanRegister => {
      host += 1;
      return {
        ...{ kind: 'ban', cause: 'strikes', gen: 0, since: NOW, until: NOW + 60_000, count: 1 },
        target: hostCidr(ipv4(host)),
      };
    });
    return encode({ kind: 'ban', number, time: NOW, records });
  };
  for (let number = 1; number <= 1_000; number += 1) hearing.heard('edge2', message(number));
  expect(carried.bans).toBeLessThan(25_000);
  expect(carried.bans).toBeGreaterThan(20_000);
  expect(hearing.refusals().get('limit')).toBe(256_000 - carried.bans);
  // What is kept of it is read: the numbers show that something is missing.
  at.now = 1_000;
  hearing.heard('edge2', message(1_001));
  expect(said.number).toBe(1_001);
  expect(
    traffic.counts().find(({ kind, direction }) => kind === 'ban' && direction === 'in')?.count,
  ).toBeLessThan(100);
});
