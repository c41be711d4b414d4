import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../../src/packet/address.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import {
  type Accepted,
  type Admission,
  admit,
  claimRejection,
  type Rejected,
} from '../../../src/spa/admit.ts';
import type { Key } from '../../../src/spa/key.ts';
import type { Ask, Proven, SpaPacket } from '../../../src/spa/proof.ts';
import { createUsage } from '../../../src/spa/usage.ts';
import { doorIdOf } from '../../../src/spa/v1.ts';
import { doorsFor } from '../../../src/spa/wanted-doors.ts';
import { address, doorOf, forwardTo, keyOf, packetOf, port, SECRET, WALL } from './spa-world.ts';

const SSH = doorOf('ssh', ['22/tcp']);
const MAIL = doorOf('mail', ['993/tcp', '25/tcp'], { for: milliseconds(600_000) });
const net = (text: string) => [parseCidr(text)].flatMap((found) => found ?? []);

function ask(wants: Ask['wants'], more: Partial<Ask> = {}): Ask {
  return { wants, address: null, seconds: 0, user: null, ...more };
}
const byDoor = (name: string, more: Partial<Ask> = {}): Ask => ask({ by: 'door', id: doorIdOf(name) }, more);
const tcp = (...numbers: readonly number[]) =>
  numbers.map((number) => ({ protocol: 'tcp', port: port(number) }) as const);

function proven(key: Key, asked: Ask = byDoor('ssh'), stamp: number | null = WALL): Proven {
  return { outcome: 'proven', key, ask: asked, id: 'id', stamp, by: 'present' };
}

interface Trial {
  readonly limits?: Partial<Key>;
  readonly asked?: Ask;
  readonly stamp?: number | null;
  readonly packet?: Partial<SpaPacket>;
  readonly admission?: Partial<Admission>;
}

function tried({ limits, asked, stamp, packet, admission }: Trial): Accepted | Rejected {
  return admit(proven(keyOf('ada', SECRET, limits), asked, stamp), packetOf(new Uint8Array(), packet), {
    doors: [SSH, MAIL],
    skew: 60_000,
    usage: createUsage(new Map()),
    ...admission,
  });
}
function said(trial: Trial): string {
  const found = tried(trial);
  if (found.outcome === 'rejected') return found.reason;
  return `${found.doors.map((one) => `${one.door} ${one.for}`).join(', ')} to ${formatAddress(found.address)}`;
}

describe('A proven packet', () => {
  it('opens the door that it names, for its source and the time of the door', () => {
    expect(tried({})).toEqual({
      outcome: 'accepted',
      key: keyOf('ada', SECRET),
      doors: [{ door: 'ssh', for: 30_000 }],
      address: address('198.51.100.7'),
      use: { use: 'packet', key: 'ada', id: 'id', stamp: WALL, source: '198.51.100.7' },
    });
  });

  it('is stale where its clock is further off than it may be, and by how much is said', () => {
    expect(said({ stamp: WALL - 60_000 })).toMatch(/^ssh/);
    expect(said({ stamp: WALL + 60_000 })).toMatch(/^ssh/);
    expect(tried({ stamp: WALL - 60_001 })).toMatchObject({
      reason: 'stale',
      behind: 60_001,
      offence: false,
    });
    expect(tried({ stamp: WALL + 60_001 })).toMatchObject({ reason: 'stale', behind: -60_001 });
    expect(said({ stamp: WALL - 60_001, admission: { skew: 120_000 } })).toMatch(/^ssh/);
    expect(said({ stamp: null })).toMatch(/^ssh/);
    expect(tried({ asked: byDoor('mail') })).toMatchObject({ behind: null, offence: false });
  });

  it('of a key that has expired says for how long', () => {
    const admitted = admit(
      proven(keyOf('ada', SECRET, { expires: WALL - 90_000 }), byDoor('ssh'), WALL),
      packetOf(new Uint8Array()),
      {
        doors: [],
        skew: 60_000,
        usage: createUsage(new Map()),
      },
    );
    expect(admitted).toMatchObject({ outcome: 'rejected', reason: 'expired', behind: 90_000 });
  });

  it('opens nothing once its key has expired', () => {
    expect(said({ limits: { expires: WALL } })).toBe('expired');
    expect(said({ limits: { expires: WALL + 1 } })).toMatch(/^ssh/);
  });

  it('opens nothing from or to another network than its key names', () => {
    expect(said({ limits: { from: net('198.51.100.0/24') } })).toMatch(/^ssh/);
    expect(said({ limits: { from: [...net('203.0.113.0/24'), ...net('198.51.100.7')] } })).toMatch(/^ssh/);
    expect(said({ limits: { from: net('203.0.113.0/24') } })).toBe('from');
    expect(said({ limits: { from: net('2001:db8::/32') } })).toBe('from');
    expect(said({ limits: { to: net('192.0.2.1') } })).toMatch(/^ssh/);
    expect(said({ limits: { to: net('192.0.2.2') } })).toBe('from');
  });

  it('must name the user that its key names', () => {
    expect(said({ limits: { user: 'ada' }, asked: byDoor('ssh', { user: 'ada' }) })).toMatch(/^ssh/);
    expect(said({ limits: { user: 'ada' }, asked: byDoor('ssh', { user: 'Ada' }) })).toBe('user');
    expect(said({ limits: { user: 'ada' } })).toBe('user');
    expect(said({ asked: byDoor('ssh', { user: 'ada' }) })).toMatch(/^ssh/);
  });

  it('opens doors of its key alone, and only such as there are', () => {
    expect(said({ asked: byDoor('mail') })).toBe('door');
    expect(said({ asked: byDoor('mail'), limits: { doors: ['ssh', 'mail'] } })).toMatch(/^mail/);
    expect(said({ asked: byDoor('gone'), limits: { doors: ['gone'] } })).toBe('door');
  });

  it('opens what covers the ports that it asks for, or nothing', () => {
    const both = { doors: ['ssh', 'mail'] };
    const ports = (...numbers: readonly number[]): Ask =>
      ask({ by: 'ports', ports: tcp(...numbers), nat: null });
    expect(said({ asked: ports(22), limits: both })).toBe('ssh 30000 to 198.51.100.7');
    expect(said({ asked: ports(22, 25), limits: both })).toBe('ssh 30000, mail 600000 to 198.51.100.7');
    expect(said({ asked: ports(22, 25) })).toBe('ports');
    expect(said({ asked: ports(22, 80), limits: both })).toBe('ports');
  });

  it.each(['command', 'nat', 'ports'] as const)('opens nothing for what can not be had: %s', (reason) => {
    expect(said({ asked: ask({ by: 'nothing', reason }) })).toBe(reason);
  });

  it('that asks for a host behind this machine gets the door that leads there, or nothing', () => {
    const doors = [SSH, doorOf('inner', ['22/tcp'], { forward: forwardTo('10.0.0.5') })];
    const nat = (host: string, number: number, asked = 22): Trial => ({
      limits: { doors: ['ssh', 'inner'] },
      asked: ask({ by: 'ports', ports: tcp(asked), nat: { host: address(host), port: number } }),
      admission: { doors },
    });
    expect(said(nat('10.0.0.5', 22))).toMatch(/^inner/);
    expect(said(nat('10.0.0.6', 22))).toBe('nat');
    expect(said(nat('10.0.0.5', 23))).toBe('nat');
    expect(said(nat('10.0.0.5', 22, 2222))).toBe('nat');
    expect(said(nat('10.0.0.5', 23, 23))).toBe('nat');
  });

  it('opens for the address that it names, and must name one where its key says so', () => {
    const named = byDoor('ssh', { address: address('192.0.2.11') });
    expect(said({ asked: named })).toBe('ssh 30000 to 192.0.2.11');
    expect(said({ asked: named, limits: { address: 'required' } })).toBe('ssh 30000 to 192.0.2.11');
    expect(said({ limits: { address: 'required' } })).toBe('address');
    expect(said({ asked: byDoor('ssh', { address: address('2001:db8::5') }) })).toBe(
      'ssh 30000 to 2001:db8::5',
    );
  });

  it.each(['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'ff02::1'])(
    'opens for no address that no host has: %s',
    (text) => {
      expect(said({ asked: byDoor('ssh', { address: address(text) }) })).toBe('address');
    },
  );
  it.each(['1.0.0.1', '126.0.0.1', '128.0.0.1', '223.255.255.255', '::2', 'fe80::1'])(
    'opens for %s',
    (text) => {
      expect(said({ asked: byDoor('ssh', { address: address(text) }) })).toMatch(/^ssh/);
    },
  );

  it('opens for as long as it asks, within what its key or else its door permits', () => {
    const time = (seconds: number, forMax: number | null): string =>
      said({
        asked: byDoor('ssh', { seconds }),
        limits: { forMax: forMax === null ? null : milliseconds(forMax) },
      }).replace(/^ssh (\d+) .*/, '$1');
    expect(time(0, null)).toBe('30000');
    expect(time(10, null)).toBe('10000');
    expect(time(3600, null)).toBe('30000');
    expect(time(3600, 300_000)).toBe('300000');
    expect(time(299, 300_000)).toBe('299000');
    expect(time(0, 300_000)).toBe('30000');
    expect(time(0, 20_000)).toBe('20000');
  });

  it('opens for no longer than its key lasts', () => {
    const until = (expires: number): string =>
      said({ limits: { expires: WALL + expires, forMax: milliseconds(600_000) } }).replace(
        /^ssh (\d+) .*/,
        '$1',
      );
    expect(until(30_001)).toBe('30000');
    expect(until(29_999)).toBe('29999');
    expect(until(1)).toBe('1');
  });

  it('opens no more often than its key may', () => {
    const usage = createUsage(new Map([['ben', { uses: 3, last: 0 }]]));
    const ada = keyOf('ada', SECRET, { rate: { knocks: 2, per: milliseconds(1_000) } });
    const at = milliseconds;
    expect(usage.note(ada, at(0), 7)).toEqual({ uses: 1, last: 7 });
    expect(usage.permits(ada, at(0))).toBe(true);
    expect(usage.note(ada, at(500), 9)).toEqual({ uses: 2, last: 9 });
    expect(usage.permits(ada, at(999))).toBe(false);
    expect(said({ limits: { rate: ada.rate }, packet: { now: at(999) }, admission: { usage } })).toBe(
      'limit',
    );
    expect(usage.permits(ada, at(1_000))).toBe(true);
    usage.note(ada, at(1_000), 9);
    expect(usage.permits(ada, at(1_499))).toBe(false);
    expect(usage.permits(ada, at(1_500))).toBe(true);
    expect(usage.permits(keyOf('cyd', SECRET, { rate: ada.rate }), at(999))).toBe(true);
  });

  it('opens no more often in all than its key may, restarts included', () => {
    const usage = createUsage(new Map([['ben', { uses: 3, last: 0 }]]));
    const ben = (uses: number): Key => keyOf('ben', SECRET, { uses });
    expect(usage.permits(ben(3), milliseconds(0))).toBe(false);
    expect(usage.permits(ben(4), milliseconds(0))).toBe(true);
    expect(usage.note(ben(4), milliseconds(0), 1)).toEqual({ uses: 4, last: 1 });
    expect(usage.permits(ben(4), milliseconds(1e9))).toBe(false);
    expect(usage.permits(keyOf('ada', SECRET, { uses: 1 }), milliseconds(0))).toBe(true);
  });
});

describe('A claim that is not won', () => {
  const accepted = tried({});
  const of = (claim: Parameters<typeof claimRejection>[1]) => {
    if (accepted.outcome !== 'accepted') throw new Error('not accepted');
    const { reason, offence, behind } = claimRejection(accepted, claim);
    return [reason, offence, behind];
  };

  it('is an offence only of who sends again what another has used', () => {
    expect(of({ outcome: 'used', by: '198.51.100.7' })).toEqual(['replayed', false, null]);
    expect(of({ outcome: 'used', by: '203.0.113.9' })).toEqual(['replayed', true, null]);
    expect(of({ outcome: 'used', by: null })).toEqual(['replayed', false, null]);
  });

  it('says why', () => {
    expect(of({ outcome: 'old' })).toEqual(['stale', false, null]);
    expect(of({ outcome: 'full' })).toEqual(['full', false, null]);
    expect(of({ outcome: 'unavailable', by: 'edge2' })).toEqual(['unavailable', false, null]);
  });
});

describe('Doors for ports', () => {
  const names = (numbers: readonly number[], ...doors: readonly ReturnType<typeof doorOf>[]): string =>
    doorsFor(tcp(...numbers), null, doors)
      .map(({ name }) => name)
      .join(' ');

  it('are as few as can be', () => {
    const doors = [
      doorOf('a', ['1/tcp', '2/tcp']),
      doorOf('b', ['3/tcp']),
      doorOf('c', ['1/tcp', '3/tcp']),
      doorOf('d', ['2/tcp', '1/tcp', '3/tcp']),
    ];
    expect(names([1, 2, 3], ...doors)).toBe('d');
    expect(names([1, 2, 3], ...doors.slice(0, 3))).toBe('a b');
    expect(names([2, 3], ...doors.slice(0, 3))).toBe('a b');
    expect(names([3], ...doors)).toBe('b');
  });

  it('are, of as few, those that open least', () => {
    expect(names([22], doorOf('wide', ['1-100/tcp']), doorOf('narrow', ['22/tcp']))).toBe('narrow');
    expect(names([22], doorOf('narrow', ['22/tcp']), doorOf('wide', ['22-23/tcp']))).toBe('narrow');
    expect(names([22], doorOf('four', ['22-25/tcp']), doorOf('two', ['22/tcp', '60000/tcp']))).toBe('two');
    expect(names([22], doorOf('first', ['22/tcp']), doorOf('second', ['22/tcp']))).toBe('first');
  });

  it('are of the same protocol', () => {
    expect(names([53], doorOf('dns', ['53/udp']))).toBe('');
  });

  it('are none where a port is in none of them, or nothing is asked for, or too much', () => {
    const all = doorOf('all', ['1-100/tcp']);
    const ports = Array.from({ length: 17 }, (_, index) => index + 1);
    expect(names([1, 101], all)).toBe('');
    expect(names([], all)).toBe('');
    expect(names(ports, all)).toBe('');
    expect(names(ports.slice(1), all)).toBe('all');
  });

  it('are found among many within bounds', () => {
    const doors = Array.from({ length: 64 }, (_, index) =>
      doorOf(`d${index}`, [`${(index % 16) + 1}/tcp`, `${((index % 16) ^ 1) + 1}/tcp`]),
    );
    const found = doorsFor(tcp(...Array.from({ length: 16 }, (_, index) => index + 1)), null, doors);
    expect(found.length).toBe(8);
  });

  it('are the best of all choices, in the order of the configuration', () => {
    for (let round = 0; round < 200; round += 1) {
      const random = (most: number): number => 1 + Math.floor(Math.random() * most);
      const doors = Array.from({ length: random(7) }, (_, index) =>
        doorOf(
          `d${index}`,
          Array.from({ length: random(3) }, () => `${random(6)}/tcp`),
        ),
      );
      const ports = [...new Set([random(6), random(6), random(6), random(6)])];
      const costs = Array.from({ length: 2 ** doors.length }, (_, bits) => {
        const chosen = doors.filter((_each, index) => (bits & (1 << index)) !== 0);
        const opens = chosen.flatMap((door) => door.opens);
        const isCover = ports.every((number) => opens.some(({ first }) => first === number));
        return isCover ? chosen.length * 1_000 + opens.length : Number.POSITIVE_INFINITY;
      });
      const found = doorsFor(tcp(...ports), null, doors);
      const cost = found.length * 1_000 + found.flatMap((door) => door.opens).length;
      const least = Math.min(...costs);
      expect(found.length === 0 ? Number.POSITIVE_INFINITY : cost, names(ports, ...doors)).toBe(least);
      expect(found).toEqual(doors.filter((door) => found.includes(door)));
    }
  });

  it('cost little to find, since anybody can send a used packet again as often as he likes', () => {
    const numbers = Array.from({ length: 16 }, (_, index) => index + 1);
    const doors = numbers.map((number) => doorOf(`d${number}`, [`${number}/tcp`]));
    const times = [0, 1, 2, 3, 4].map(() => {
      const begun = performance.now();
      expect(doorsFor(tcp(...numbers), null, doors)).toHaveLength(16);
      return performance.now() - begun;
    });
    // Each set of ports tried with each door took a second and more.
    expect(Math.min(...times)).toBeLessThan(300);
  });
});
