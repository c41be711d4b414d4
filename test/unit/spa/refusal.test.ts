import { describe, expect, it } from 'vitest';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket } from '../../../src/packet/packet.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { arrivalOf, payloadOf } from '../../../src/spa/arrival.ts';
import { distanceInWords, spanInWords } from '../../../src/spa/distance.ts';
import type { Key } from '../../../src/spa/key.ts';
import { beyondHolders, detailOf, engineRefusal, type Refused, refusal } from '../../../src/spa/refusal.ts';
import { ipv4, ipv6, udpDatagram } from '../source/capture-bytes.ts';
import { address, keyOf, port, SECRET } from './spa-world.ts';

const KEY = keyOf('ada', SECRET);
const detail = (reason: Refused['reason'], behind: number | null, key: Key = KEY): string | undefined =>
  detailOf({ ...refusal(key, reason), behind }).detail;

describe('Why a packet opens nothing, in words and figures:', () => {
  it.each([
    [14_700_000, "its clock is 4 h 5 min behind this machine's"],
    [-65_500, "its clock is 1 min 5 s ahead of this machine's"],
    [-499, "its clock is 1 s ahead of this machine's"],
    [0, "its clock is 1 s behind this machine's"],
    [90_061_000, "its clock is 1 d 1 h behind this machine's"],
  ])('a clock that is %i ms behind', (behind, wanted) => {
    expect(distanceInWords(behind)).toBe(wanted);
    expect(detail('stale', behind)).toBe(wanted);
  });

  it.each([
    [999, '1 s'],
    [1_499, '1 s'],
    [1_500, '2 s'],
    [59_499, '59 s'],
    [59_500, '1 min'],
    [1_999_000, '33 min 19 s'],
    [3_600_000, '1 h'],
    [3_661_000, '1 h 1 min'],
    [86_400_000 * 400, '400 d'],
  ])('a time of %i ms', (span, wanted) => {
    expect(spanInWords(span)).toBe(wanted);
  });

  it('a time that is not known any more', () => {
    expect(detail('stale', null)).toBe('it is older than what is remembered of its key');
  });

  it('a key that has expired, where it is known when', () => {
    expect(detail('expired', 90_000_000)).toBe('its key expired 1 d 1 h ago');
    expect(detail('expired', null)).toBeUndefined();
  });

  it('a key that has opened as often as it may', () => {
    const limited = (uses: number | null, knocks: number): Key => ({
      ...KEY,
      uses,
      rate: { knocks, per: milliseconds(3_600_000) },
    });
    expect(detail('limit', null, limited(null, 6))).toBe('its key may open 6 times in 1 h');
    expect(detail('limit', null, limited(1, 2))).toBe('its key may open once in all, and 2 times in 1 h');
    expect(detail('limit', null, limited(3, 1))).toBe('its key may open 3 times in all, and once in 1 h');
  });

  it('nothing more, where the reason says all', () => {
    for (const reason of [
      'replayed',
      'door',
      'ports',
      'address',
      'from',
      'command',
      'nat',
      'banned',
    ] as const)
      expect(detail(reason, null)).toBeUndefined();
  });
});

describe('A refusal', () => {
  it('is no offence, and not for its clock', () => {
    expect(refusal(KEY, 'banned')).toEqual({ key: KEY, reason: 'banned', behind: null, offence: false });
  });

  it.each([
    ['banned', 'banned'],
    ['full', 'full'],
    ['unknown door', 'door'],
    ['not found', 'door'],
  ])('of the engine because of %s is said as %s', (reason, wanted) => {
    expect(engineRefusal(KEY, reason)).toEqual(refusal(KEY, wanted as Refused['reason']));
  });
});

describe('One grant more than a key may have at once', () => {
  const grant = (key: string | null, opened: number): { opened: number; holder: { key: string } | null } => ({
    opened,
    holder: key === null ? null : { key },
  });
  const grants = [grant('ada', 30), grant('ben', 1), grant(null, 2), grant('ada', 10), grant('ada', 20)];
  const over = (holders: number | null): readonly number[] =>
    beyondHolders(grants, { ...KEY, holders }).map(({ opened }) => opened);

  it('is the oldest of its own, and of nobody else’s', () => {
    expect(over(2)).toEqual([10]);
    expect(over(1)).toEqual([10, 20]);
    expect(over(3)).toEqual([]);
    expect(over(4)).toEqual([]);
    expect(over(null)).toEqual([]);
  });
});

describe('What a packet brings', () => {
  function packetOf(payload: Uint8Array, captured?: number): ReturnType<typeof emptyPacket> {
    const bytes = ipv4('198.51.100.7', '192.0.2.1', 17, udpDatagram(40_000, 62_201, Buffer.from(payload)));
    const packet = emptyPacket();
    expect(decode(bytes, 0, captured ?? bytes.length, packet)).toBeNull();
    return packet;
  }

  it.each([
    [39, false],
    [40, true],
    [144, true],
    [440, true],
    [441, false],
  ])('is its payload where some format has such a length: %i bytes, %s', (length, wanted) => {
    const payload = Buffer.alloc(length, 0x61);
    const found = payloadOf(packetOf(payload));
    expect(found !== undefined).toBe(wanted);
    if (found !== undefined) expect(Buffer.from(found).equals(payload)).toBe(true);
  });

  it('is nothing where not all of it was captured, by one byte', () => {
    const payload = Buffer.alloc(144, 0x61);
    expect(payloadOf(packetOf(payload, 20 + 8 + 144))).toHaveLength(144);
    expect(payloadOf(packetOf(payload, 20 + 8 + 143))).toBeUndefined();
  });

  it('is who sent it, to where and which port, over IPv4 and IPv6', () => {
    const [now, wall] = [milliseconds(5), 6];
    expect(arrivalOf(packetOf(Buffer.alloc(144)), now, wall)).toEqual({
      source: address('198.51.100.7'),
      destination: address('192.0.2.1'),
      port: port(62_201),
      now,
      wall,
    });
    const packet = emptyPacket();
    const bytes = ipv6('2001:db8:7::7', '2001:db8:1::1', 17, udpDatagram(40_000, 62_201, Buffer.alloc(144)));
    decode(bytes, 0, bytes.length, packet);
    expect(arrivalOf(packet, now, wall)).toMatchObject({
      source: address('2001:db8:7::7'),
      destination: address('2001:db8:1::1'),
    });
  });
});
