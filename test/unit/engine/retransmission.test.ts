import { describe, expect, it } from 'vitest';
import { createRetransmissions as createMemory } from '../../../src/engine/retransmission.ts';
import { createSubjects } from '../../../src/engine/subject.ts';
import { emptyPacket, type Packet } from '../../../src/packet/packet.ts';

const MINUTE = 60_000;

function createRetransmissions(sources: number): {
  readonly seen: (low: number, high: number, now: number, window?: number) => boolean;
  readonly capacity: number;
} {
  const memory = createMemory(sources);
  return {
    seen: (low, high, now, window = 70_000) => memory.seen(low, high, now, window),
    capacity: memory.capacity,
  };
}

describe('the memory of packets', () => {
  it('knows a packet for as long as it is asked about, since it was first seen: being known prolongs nothing', () => {
    const memory = createRetransmissions(16);
    expect(memory.seen(1, 2, 0)).toBe(false);
    expect(memory.seen(1, 2, 60_000)).toBe(true);
    expect(memory.seen(1, 2, 70_000)).toBe(true);
    expect(memory.seen(1, 2, 70_001)).toBe(false);
    expect(memory.seen(1, 2, 71_001, 1000)).toBe(true);
    expect(memory.seen(1, 2, 71_002, 1000)).toBe(false);
  });

  it('tells packets apart by both halves of their fingerprint', () => {
    const memory = createRetransmissions(16);
    memory.seen(1, 2, 0);
    expect(memory.seen(1, 3, 1)).toBe(false);
    expect(memory.seen(1 + (1 << 30), 2, 1)).toBe(false);
    expect(memory.seen(0, 0, 1)).toBe(false);
    expect(memory.seen(1, 2, 2)).toBe(true);
  });

  it('holds eight packets in each of its places, and forgets the one first seen longest ago for a ninth', () => {
    const memory = createRetransmissions(16);
    for (const last of [0, memory.capacity / 8 - 1]) {
      for (let packet = 1; packet <= 8; packet += 1) memory.seen(last, packet, packet);
      // That the first is seen again does not make it younger.
      expect(memory.seen(last, 1, 9)).toBe(true);
      expect(memory.seen(last, 9, 10)).toBe(false);
      for (const known of [2, 3, 4, 5, 6, 7, 8, 9]) expect(memory.seen(last, known, 11)).toBe(true);
      expect(memory.seen(last, 1, 12)).toBe(false);
    }
  });

  it('holds two packets for each source, and 65,536 at the least', () => {
    expect(createRetransmissions(16).capacity).toBe(65_536);
    expect(createRetransmissions(32_769).capacity).toBe(131_072);
    expect(createRetransmissions(262_144).capacity).toBe(524_288);
  });

  it('keeps as many as it says: the last 65,536 of a flood within a minute are nearly all known', () => {
    const memory = createRetransmissions(16);
    for (let packet = 0; packet < 65_536; packet += 1) memory.seen(packet >> 3, packet, packet / MINUTE);
    for (let packet = 0; packet < 65_536; packet += 1)
      expect(memory.seen(packet >> 3, packet, MINUTE)).toBe(true);
  });
});

describe('what makes a packet the same as another', () => {
  const subjects = createSubjects([1, 2]);
  const print = (packet: Packet): string => {
    subjects.fingerprint(packet);
    return subjects.output.join(' ');
  };
  const four: Packet = {
    ...emptyPacket(),
    source0: 11,
    destination0: 22,
    protocol: 6,
    sourcePort: 33,
    port: 44,
  };
  const six: Packet = { ...four, family: 6 };
  const FOUR = ['protocol', 'source0', 'destination0', 'sourcePort', 'port', 'sequence'] as const;
  const SIX = [
    ...FOUR,
    ...(['source1', 'source2', 'source3', 'destination1', 'destination2', 'destination3'] as const),
  ];

  it.each(FOUR)('over IPv4 is, with others, its %s', (field) => {
    expect(print({ ...four, [field]: four[field] + 1 })).not.toBe(print(four));
  });

  it.each(SIX)('over IPv6 is, with others, its %s', (field) => {
    expect(print({ ...six, [field]: six[field] + 1 })).not.toBe(print(six));
  });

  it('is neither its flags nor when it came', () => {
    expect(print({ ...four, flags: 2, stamped: false })).toBe(print(four));
    expect(print({ ...six, flags: 2, stamped: false })).toBe(print(six));
    expect(print(six)).not.toBe(print(four));
  });

  it('is every bit of each field, in a place of its own', () => {
    const bits = { protocol: 8, sourcePort: 16, port: 16 } as const;
    for (const [packet, fields] of [
      [four, FOUR],
      [six, SIX],
    ] as const) {
      const prints = fields.flatMap((field) =>
        Array.from({ length: field in bits ? bits[field as keyof typeof bits] : 32 }, (_, bit) =>
          print({ ...packet, [field]: packet[field] ^ (1 << bit) }),
        ),
      );
      expect(new Set([print(packet), ...prints]).size).toBe(prints.length + 1);
    }
  });
});

describe('what makes a UDP knock the same packet seen twice', () => {
  const subjects = createSubjects([1, 2]);
  const print = (bytes: readonly number[], start = 0, end = bytes.length): string => {
    subjects.fingerprintBytes({
      ...emptyPacket(),
      bytes: Uint8Array.from(bytes),
      start,
      end,
      length: bytes.length,
    });
    return subjects.output.join(' ');
  };

  it('is every byte that was captured of it, in a place of its own, and how many there are', () => {
    for (const length of [0, 1, 3, 4, 28, 35, 36, 37, 40, 64, 100]) {
      const bytes = Array.from({ length }, (_, index) => (index * 37) & 255);
      const others = bytes.map((byte, index) => print(bytes.with(index, byte ^ 1)));
      expect(new Set([print(bytes), print([...bytes, 0]), ...others]).size).toBe(length + 2);
    }
  });

  it('is nothing that lies beside it in the batch', () => {
    const bytes = Array.from({ length: 41 }, (_, index) => index);
    const here = print(bytes, 2, 39);
    expect(print([...bytes.slice(0, 39), 7, 7], 2, 39)).toBe(here);
    expect(print([9, 9, ...bytes.slice(2)], 2, 39)).toBe(here);
  });
});

describe('where a source stands in the tables', () => {
  const subjects = createSubjects([1, 2]);
  const hashes = (family: 4 | 6, a: number, b = 0, c = 0, d = 0): readonly [number, number] => {
    subjects.ofAddress({ family, a, b, c, d });
    return [subjects.subject.hostHash, subjects.subject.offenderHash];
  };

  it('depends on every word of its address, so that no network shares a place', () => {
    const words = [1, 2, 3, 4] as const;
    const [host, offender] = hashes(6, ...words);
    words.forEach((_, index) => {
      const [a = 0, b = 0, c = 0, d = 0] = words.map((word, other) => (other === index ? word + 9 : word));
      const [otherHost, otherOffender] = hashes(6, a, b, c, d);
      expect(otherHost).not.toBe(host);
      // An offender is a /64: the last two words are no part of it.
      expect(otherOffender === offender).toBe(index > 1);
    });
    expect(hashes(4, 1)[0]).not.toBe(hashes(4, 2)[0]);
    expect(hashes(4, 1)[0]).toBe(hashes(4, 1)[1]);
  });
});
