import { describe, expect, it } from 'vitest';
import { randomKey } from '../../../src/daemon/random-key.ts';
import { createHasher, type HashKey, powerOfTwo } from '../../../src/engine/hash.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, ports, settings, type World, world } from '../../unit/engine/world.ts';

const OWNER = '198.51.100.7';
const LIMIT = 1024;
/** Far more than any table of these worlds holds. */
const FORGED = 4 * LIMIT;

const forged = (number: number): string => `203.0.${(number >> 8) & 255}.${number & 255}`;

/** Each port once, from each of so many forged addresses; the clock moves by a tenth of a millisecond a packet. */
function flood(w: World, ports: readonly string[], sources = FORGED, first = 0): void {
  for (let number = 0; number < sources; number += 1) {
    w.now += 0.1;
    for (const port of ports) w.send(port, { from: forged(first + number) });
  }
}

describe('a flood of forged sources', () => {
  // Against: evicting a knocker
  // by: levels in the table: who is past the first knock stays
  it('of first knocks leaves who is past the first where he is, between any two knocks', () => {
    const w = world();
    w.knock('7000', '8000/udp');
    flood(w, ['7000']);
    w.knock('9000');
    expect(w.engine.grants()).toHaveLength(1);
  });

  it('of wrong knocks, decoys and scans takes nothing from an owner in the middle of a sequence', () => {
    const w = world();
    w.knock('7000', '8000/udp');
    flood(w, ['9000', '23', '161/udp']);
    w.knock('9000');
    expect(w.engine.grants()).toHaveLength(1);
  });

  // Against: exhausting memory
  // by: tables of fixed size
  it('fills no table beyond its size', () => {
    const w = world();
    flood(w, ['7000', '8000/udp', '23', '9000']);
    const { attempts, offenders, bans, grants, sourcesMax, bansMax } = w.engine.sizes();
    expect(Math.max(attempts, offenders)).toBeLessThanOrEqual(sourcesMax);
    expect(bans).toBeLessThanOrEqual(bansMax);
    expect(grants).toBe(0);
  });

  // Against: pushing bans out
  // by: the ban nearest its end goes first
  it('that bans each pushes the shortest bans out, and leaves one that lasts longer because it was earned often', () => {
    const w = world(settings({ bans: { strikes: 1, limit: LIMIT } }));
    for (let time = 0; time < 3; time += 1) {
      w.send('23', { from: OWNER });
      if (time < 2) w.pass(3_600_000);
    }
    flood(w, ['23']);
    expect(w.engine.bans()).toHaveLength(LIMIT);
    expect(w.send('23', { from: OWNER })).toBe('banned');
    expect(w.send('23', { from: forged(FORGED - 1) })).toBe('banned');
  });
});

describe('packets forged in the name of', () => {
  it.each([
    ['the default gateway', '192.0.2.1', '192.0.2.1/32'],
    ['a name server over IPv6, whose /64 is an offender', '2001:db8:1::53', '2001:db8:1::53/128'],
  ])('%s never have it banned, and it can still knock', (_, from, network) => {
    const w = world();
    w.engine.execute({ command: 'exempt', networks: [cidr(network)] }, milliseconds(w.now), () => undefined);
    for (let round = 0; round < 200; round += 1) {
      w.now += 3;
      for (const port of ['23', '161/udp', '9000', '8000/udp']) w.send(port, { from });
    }
    expect(w.engine.bans()).toEqual([]);
    w.now += 2_000;
    for (const port of ['7000', '8000/udp', '9000']) w.send(port, { from });
    expect(w.engine.grants()).toHaveLength(1);
  });

  // Against: banning who holds a grant
  // by: no strikes for decoys and rate
  it('who holds a grant, at decoys and in a flood, neither ban him nor end his grant', () => {
    const w = world();
    w.knock('7000', '8000/udp', '9000');
    for (let round = 0; round < 500; round += 1) {
      w.now += 1;
      w.send('23');
      w.send('23', { flags: 0 });
      w.send('161/udp');
    }
    expect(w.engine.bans()).toEqual([]);
    expect(w.engine.grants()).toHaveLength(1);
  });

  // Against: disturbing a knocker
  // by: `tolerate`
  it('an owner while he knocks break him off at once, or only beyond what his door tolerates', () => {
    const disturbed = (tolerate: number, times: number): readonly string[] => {
      const other = door({ name: 'other', knock: ports('7050', '7100', '7200') });
      const w = world(settings({ doors: [door({ tolerate }), other] }));
      // The same port again would be a repeat of the wrong one.
      const forged = ['9000', '7100', '7200'].slice(0, times);
      w.knock('7000', ...forged, '8000/udp', '9000');
      return w.names();
    };
    expect(disturbed(0, 1)).not.toContain('door.opened');
    expect(disturbed(2, 2)).toContain('door.opened');
    expect(disturbed(2, 3)).not.toContain('door.opened');
  });

  it('others never touch a source: its strikes and progress are its own', () => {
    const w = world();
    w.knock('7000', '9000');
    flood(w, ['9000', '7000'], 100);
    const { strikes } = w.engine.source(address(OWNER), milliseconds(w.now));
    expect(strikes).toBe(1);
  });
});

describe('addresses chosen to collide', () => {
  const known: HashKey = [1, 2];
  const BUCKETS = powerOfTwo(LIMIT);
  const bucketOf = (key: HashKey): ((word: number) => number) => {
    const hasher = createHasher(key);
    return (word) => {
      hasher.input[0] = word;
      hasher.run(1);
      return (hasher.output[0] ?? 0) & (BUCKETS - 1);
    };
  };
  const chosen: number[] = [];
  const under = bucketOf(known);
  for (let word = 0; chosen.length < 500; word += 1) if (under(word) === 77) chosen.push(word);

  it('all meet in one place under a key that the attacker knows', () => {
    expect(new Set(chosen.map(under)).size).toBe(1);
  });

  // Against: colliding addresses
  // by: a keyed hash with a random key
  it.each<HashKey>([
    [3, 4],
    [1, 3],
    [-5, 2],
  ])('are spread as any others under a key that he does not know (%i, %i)', (...key) => {
    const load = new Map<number, number>();
    for (const bucket of chosen.map(bucketOf(key))) load.set(bucket, (load.get(bucket) ?? 0) + 1);
    // 500 in 1,024 places: the fullest of that many has 6 by chance about once in 1,000 keys.
    expect(Math.max(...load.values())).toBeLessThanOrEqual(6);
  });

  // Against: learning the key of the hash, or counting on it
  // by: drawn at random at each start
  it('can not be chosen, since the key is drawn anew at each start', () => {
    const keys = Array.from({ length: 100 }, randomKey);
    for (const half of [0, 1]) expect(new Set(keys.map((key) => key[half])).size).toBe(100);
  });
});

describe('a forger of completed sequences', () => {
  // Against: opening for others by forging
  // by: a grant is for the source of the knocks
  it('opens for the address that he forges, and for no other', () => {
    const w = world();
    for (const port of ['7000', '8000/udp', '9000']) w.send(port, { from: forged(9) });
    expect(w.engine.grants().map(({ grantee }) => (grantee === 'any' ? 'any' : formatCidr(grantee)))).toEqual(
      [forged(9)],
    );
  });
});
