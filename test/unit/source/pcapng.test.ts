import { describe, expect, test } from 'vitest';
import {
  blockOf,
  classic,
  ethernet,
  type Frame,
  interfaceBlock,
  packetBlock,
  pcapng,
  sectionBlock,
  tcp,
} from './capture-bytes.ts';
import { readAll } from './captured.ts';

const SYN = tcp({ from: '198.51.100.7', to: '192.0.2.1', port: 7000 });
const MICROS = 1_795_239_600_123_456;
const FRAMES: readonly Frame[] = [7000, 8000, 9001].map((port, index) => ({
  bytes: ethernet(tcp({ from: '198.51.100.7', to: '192.0.2.1', port })),
  micros: MICROS + index * 333_333,
}));

describe('pcapng', () => {
  const resolutions = [3, 6, 7, 8, 9].map((resolution) => ({ resolution }));
  const variants = [
    {},
    { big: true },
    { block: 'packet' },
    { block: 'packet', big: true },
    { resolution: 9, big: true },
  ] as const;

  test.each(variants)('gives what the classic format gives: %o', (options) => {
    expect(readAll(pcapng(FRAMES, options))).toEqual(readAll(classic(FRAMES)));
  });

  test.each(resolutions)('counts time in the unit that the interface names: %o', (options) => {
    const whole = FRAMES.map((frame) => ({ ...frame, micros: frame.micros - (frame.micros % 1000) }));
    expect(readAll(pcapng(whole, options)).stamps).toEqual(readAll(classic(whole)).stamps);
  });

  test('counts time in powers of two as well, to the microsecond', () => {
    for (const resolution of [0x80 | 20, 0x80 | 30, 0x80 | 32]) {
      const { stamps } = readAll(pcapng(FRAMES, { resolution }));
      for (const [index, stamp] of stamps.entries()) {
        expect(Math.abs(stamp - (FRAMES[index]?.micros ?? 0) / 1000)).toBeLessThan(0.002);
      }
    }
  });

  test('a picosecond clock and an absurd one do not break anything', () => {
    expect(readAll(pcapng(FRAMES, { resolution: 127 })).fault).toBeUndefined();
    const { stamps } = readAll(
      pcapng([{ ...FRAMES[0], bytes: ethernet(SYN), micros: 1_000_000 }], { resolution: 12 }),
    );
    expect(stamps).toEqual([1000]);
  });

  test('adds the offset that the interface names, also a negative one', () => {
    for (const offset of [1_000_000_000, -86_400]) {
      expect(readAll(pcapng(FRAMES, { offset })).stamps).toEqual(readAll(classic(FRAMES)).stamps);
      expect(readAll(pcapng(FRAMES, { offset, big: true })).stamps).toEqual(readAll(classic(FRAMES)).stamps);
    }
  });

  test('a simple packet block has no time stamp', () => {
    const read = readAll(pcapng(FRAMES, { block: 'simple' }));
    expect(read.packets).toEqual(readAll(classic(FRAMES)).packets);
    expect(read.stamps).toEqual([0, 0, 0]);
  });

  test('the flags of a packet tell which way it went', () => {
    expect(readAll(pcapng(FRAMES, { direction: 1 })).ways).toEqual([1, 1, 1]);
    expect(readAll(pcapng(FRAMES, { direction: 2, big: true })).ways).toEqual([2, 2, 2]);
  });

  test('every interface has its own link layer and its own clock', () => {
    const [first, second] = FRAMES;
    if (first === undefined || second === undefined) throw new Error('two frames');
    const raw = { ...second, bytes: second.bytes.subarray(14) };
    const bytes = Buffer.concat([
      sectionBlock(false),
      interfaceBlock(1),
      interfaceBlock(101, { resolution: 9 }),
      packetBlock(raw, 1, 'enhanced', { resolution: 9 }),
      packetBlock(first, 0, 'enhanced'),
    ]);
    const read = readAll(bytes);
    expect(read.packets).toEqual([
      Buffer.from(raw.bytes).toString('hex'),
      Buffer.from(first.bytes.subarray(14)).toString('hex'),
    ]);
    expect(read.stamps).toEqual([second.micros / 1000, first.micros / 1000]);
  });

  test('a new section may change the byte order and describes its interfaces anew', () => {
    const both = Buffer.concat([pcapng(FRAMES.slice(0, 1)), pcapng(FRAMES.slice(1), { big: true })]);
    expect(readAll(both)).toEqual(readAll(classic(FRAMES)));
    const orphan = Buffer.concat([
      pcapng([]),
      sectionBlock(false),
      packetBlock({ bytes: ethernet(SYN), micros: MICROS }, 0, 'enhanced'),
    ]);
    expect(readAll(orphan).fault?.text).toBe('a packet of interface 0; 0 are described before it');
  });

  test('blocks of other kinds are passed over', () => {
    const others = Buffer.concat([
      sectionBlock(false),
      blockOf(0x0bad, Buffer.alloc(40), false),
      interfaceBlock(1),
      blockOf(5, Buffer.alloc(12), false),
      ...FRAMES.map((frame) => packetBlock(frame, 0, 'enhanced')),
      blockOf(4, Buffer.alloc(8), false),
    ]);
    expect(readAll(others).packets).toEqual(readAll(classic(FRAMES)).packets);
  });

  test('an interface whose link layer can not be read is counted; the others are read', () => {
    const [frame] = FRAMES;
    if (frame === undefined) throw new Error('a frame');
    const bytes = Buffer.concat([
      sectionBlock(false),
      interfaceBlock(1),
      interfaceBlock(127),
      packetBlock(frame, 1, 'enhanced'),
      packetBlock(frame, 0, 'enhanced'),
    ]);
    const read = readAll(bytes);
    expect(read.packets).toHaveLength(1);
    expect([...read.unsupported]).toEqual([[127, 1]]);
  });

  test.each([1, 3, 11, 100])('gives the same packets when it comes in pieces of %d bytes', (step) => {
    expect(readAll(pcapng(FRAMES), step)).toEqual(readAll(pcapng(FRAMES)));
  });
});

describe('damage in pcapng', () => {
  const head = Buffer.concat([sectionBlock(false), interfaceBlock(1)]);

  test('two lengths of a block that disagree end the reading there', () => {
    const bytes = pcapng(FRAMES);
    bytes.writeUInt32LE(8, bytes.length - 4);
    const read = readAll(bytes);
    expect(read.packets).toHaveLength(2);
    expect(read.fault).toMatchObject({
      fault: 'damaged',
      at: bytes.length - packetBlock(FRAMES[2] ?? never(), 0, 'enhanced').length,
    });
    expect(read.fault?.text).toMatch(/^a block begins by saying \d+ bytes and ends by saying 8$/);
  });

  test('a block longer than any can be ends the reading before it is waited for', () => {
    const bytes = Buffer.concat([head, Buffer.from('06000000f0ffffff00000000', 'hex')]);
    expect(readAll(bytes).fault?.text).toContain('a block says that it has 4294967280 bytes');
  });

  test('a packet longer than its block ends the reading', () => {
    const block = packetBlock({ bytes: ethernet(SYN), micros: MICROS }, 0, 'enhanced');
    block.writeUInt32LE(57, 20);
    expect(readAll(Buffer.concat([head, block])).fault?.text).toBe(
      'a packet says that it holds 57 bytes; its block has room for 56',
    );
  });

  test('a block too short for its kind ends the reading', () => {
    const short = Buffer.concat([head, blockOf(6, Buffer.alloc(8), false)]);
    expect(readAll(short).fault?.text).toBe('a block of type 6 has 20 bytes; it needs 32');
  });

  test('another major version is refused by name', () => {
    const bytes = sectionBlock(false);
    bytes.writeUInt16LE(2, 12);
    expect(readAll(bytes).fault?.text).toBe('version 2 of pcapng; only 1 is known');
  });
});

function never(): never {
  throw new Error('the frame is there');
}
