import { describe, expect, test } from 'vitest';
import { createCaptureReader } from '../../../src/source/pcap.ts';
import { classic, ethernet, type Frame, ipv4, tcp, udp } from './capture-bytes.ts';
import { readAll } from './captured.ts';

const SYN = tcp({ from: '198.51.100.7', to: '192.0.2.1', port: 7000 });
const SYN6 = tcp({ from: '2001:db8::7', to: '2001:db8::1', port: 7000 });
const KNOCK_UDP = udp('198.51.100.7', '192.0.2.1', 5353, 8000);
const MICROS = 1_795_239_600_123_456;
const FRAMES: readonly Frame[] = [
  { bytes: ethernet(SYN), micros: MICROS },
  { bytes: ethernet(KNOCK_UDP), micros: MICROS + 1 },
  { bytes: ethernet(SYN6), micros: MICROS + 2_000_000 },
];
const WANTED = [SYN, KNOCK_UDP, SYN6].map((packet) => packet.toString('hex'));

describe('the classic format', () => {
  const variants = [false, true].flatMap((big) => [false, true].map((nano) => ({ big, nano })));
  test.each(variants)('is read in either byte order, with micro- and nanoseconds: %o', (options) => {
    const read = readAll(classic(FRAMES, options));
    expect(read.packets).toEqual(WANTED);
    expect(read.stamps).toEqual([MICROS / 1000, (MICROS + 1) / 1000, (MICROS + 2_000_000) / 1000]);
    expect(read.fault).toBeUndefined();
  });

  test.each([1, 2, 3, 7, 16, 64, 4096])(
    'gives the same packets when it comes in pieces of %d bytes',
    (step) => {
      expect(readAll(classic(FRAMES), step)).toEqual(readAll(classic(FRAMES)));
    },
  );

  test('a record that is cut short ends the reading with its offset, and what came before stays', () => {
    const whole = classic(FRAMES);
    const read = readAll(whole.subarray(0, whole.length - 5));
    expect(read.packets).toEqual(WANTED.slice(0, 2));
    expect(read.fault).toEqual({
      at: 24 + 2 * 16 + ethernet(SYN).length + ethernet(KNOCK_UDP).length,
      fault: 'cut',
      text: `${16 + ethernet(SYN6).length - 5} bytes are left of a record that needs ${16 + ethernet(SYN6).length}`,
    });
  });

  test('a length that lies allocates nothing and ends the reading', () => {
    const whole = classic(FRAMES);
    const second = 24 + 16 + ethernet(SYN).length;
    whole.writeUInt32LE(0xffff_fff0, second + 8);
    const read = readAll(whole);
    expect(read.packets).toEqual(WANTED.slice(0, 1));
    expect(read.fault).toEqual({
      at: second,
      fault: 'damaged',
      text: 'a record says that it holds 4294967280 bytes; at most 262144 are possible here',
    });
  });

  test('a record of the greatest length that is never filled keeps no more memory than came', () => {
    const head = classic([{ bytes: Buffer.alloc(0), micros: MICROS }], { snapshot: 0xffff_ffff });
    head.writeUInt32LE(67_108_864, 24 + 8);
    const read = readAll(head);
    expect(read.fault).toMatchObject({ at: 24, fault: 'cut' });
  });

  test('a file whose header promises a shorter snapshot than its records have is read all the same', () => {
    expect(readAll(classic(FRAMES, { snapshot: 0 })).packets).toEqual(WANTED);
    expect(readAll(classic(FRAMES, { snapshot: 20 })).packets).toEqual(WANTED);
  });

  test('a packet that was cut off when captured tells how long it was', () => {
    const bytes = ethernet(SYN).subarray(0, 34);
    const read = readAll(classic([{ bytes, micros: MICROS, full: 54 }]));
    expect(read.packets).toEqual([SYN.subarray(0, 20).toString('hex')]);
    expect(read.full).toEqual([40]);
  });

  test('frames that hold no IP packet are counted and passed over', () => {
    const arp = Buffer.concat([ethernet(SYN).subarray(0, 12), Buffer.from([8, 6]), Buffer.alloc(28)]);
    const read = readAll(classic([{ bytes: arp, micros: MICROS }, ...FRAMES]));
    expect(read.packets).toEqual(WANTED);
    expect(read.frames).toBe(4);
  });

  test('more packets than one batch holds all arrive, in their order', () => {
    const many = Array.from({ length: 10_000 }, (_, port) => ({
      bytes: ethernet(tcp({ from: '198.51.100.7', to: '192.0.2.1', port })),
      micros: MICROS + port,
    }));
    const read = readAll(classic(many), 100_000);
    expect(read.packets.map((each) => Number.parseInt(each.slice(44, 48), 16))).toEqual(
      many.map((_, port) => port),
    );
  });
});

describe('what is no capture', () => {
  test('an empty file says that it is empty', () => {
    expect(readAll(Buffer.alloc(0)).fault).toEqual({
      ...{ at: 0, fault: 'cut' },
      text: 'it is empty: a capture, as tcpdump -w writes one, begins with a header',
    });
  });

  test('a text says how it begins and what was expected', () => {
    expect(readAll(Buffer.from('knock knock')).fault).toEqual({
      at: 0,
      fault: 'damaged',
      text: 'it begins with 6b6e6f63, which is neither pcap (a1b2c3d4, a1b23c4d) nor pcapng (0a0d0d0a): name a capture such as `tcpdump -w FILE` writes',
    });
  });

  test('a file that some other tool compressed says how to unpack it', () => {
    expect(readAll(Buffer.from('28b52ffd00', 'hex')).fault?.text).toContain(
      'zstd -dc FILE | nfknock replay -',
    );
    expect(readAll(Buffer.from('fd377a585a00', 'hex')).fault?.text).toContain('xz -dc');
  });

  test('a link layer that can not be read is named by its number, with those that can', () => {
    const { fault, packets } = readAll(classic(FRAMES, { link: 127 }));
    // The capture is whole: to call it damaged would send its owner on the wrong way.
    expect(fault?.fault).toBe('unknown');
    expect(fault?.text).toContain('its link type, 127,');
    expect(fault?.text).toContain('Ethernet (1)');
    expect(packets).toEqual([]);
  });
});

describe('link layers', () => {
  const one = (bytes: Uint8Array, link: number): readonly string[] =>
    readAll(classic([{ bytes, micros: MICROS }], { link })).packets;
  const cooked = (type: number, protocol: number): Buffer => {
    const header = Buffer.alloc(16);
    header.writeUInt16BE(type, 0);
    header.writeUInt16BE(1, 2);
    header.writeUInt16BE(6, 4);
    header.writeUInt16BE(protocol, 14);
    return header;
  };
  const cooked2 = (type: number, protocol: number): Buffer => {
    const header = Buffer.alloc(20);
    header.writeUInt16BE(protocol, 0);
    header.writeUInt32BE(3, 4);
    header[10] = type;
    return header;
  };
  const hex = SYN.toString('hex');
  const hex6 = SYN6.toString('hex');

  test('VLAN tags, one or two, stand in front of the packet', () => {
    expect(one(ethernet(SYN, 0x8100), 1)).toEqual([hex]);
    expect(one(ethernet(SYN6, 0x88a8, 0x8100), 1)).toEqual([hex6]);
    expect(one(ethernet(SYN, 0x9100, 0x8100), 1)).toEqual([hex]);
  });

  test('a frame of nothing but VLAN tags holds no packet', () => {
    const tags = Array.from({ length: 300 }, () => 0x8100);
    expect(one(ethernet(SYN, ...tags), 1)).toEqual([]);
  });

  test('Linux cooked captures, both versions, also tell which way a packet went', () => {
    const frames = [0, 4, 3].map((type) => ({
      bytes: Buffer.concat([cooked(type, 0x0800), SYN]),
      micros: MICROS,
    }));
    const first = readAll(classic(frames, { link: 113 }));
    expect(first.packets).toEqual([hex, hex, hex]);
    expect(first.ways).toEqual([1, 2, 3]);
    const frames2 = [0, 4, 3].map((type) => ({
      bytes: Buffer.concat([cooked2(type, 0x86dd), SYN6]),
      micros: MICROS,
    }));
    const second = readAll(classic(frames2, { link: 276 }));
    expect(second.packets).toEqual([hex6, hex6, hex6]);
    expect(second.ways).toEqual([1, 2, 3]);
  });

  test.each([101, 12, 14])('raw IP, link type %d, begins with the packet', (link) => {
    expect(one(SYN, link)).toEqual([hex]);
    expect(one(SYN6, link)).toEqual([hex6]);
  });

  test('raw IPv4 and raw IPv6 hold their own family only', () => {
    expect(one(SYN, 228)).toEqual([hex]);
    expect(one(SYN6, 229)).toEqual([hex6]);
    expect(one(SYN6, 228)).toEqual([]);
    expect(one(SYN, 229)).toEqual([]);
  });

  test.each([0, 108])('loopback, link type %d, names the family in either byte order', (link) => {
    for (const [family, packet] of [
      [2, SYN],
      [24, SYN6],
      [28, SYN6],
      [30, SYN6],
    ] as const) {
      const little = Buffer.concat([Buffer.from([family, 0, 0, 0]), packet]);
      const big = Buffer.concat([Buffer.from([0, 0, 0, family]), packet]);
      expect(one(little, link)).toEqual([packet.toString('hex')]);
      expect(one(big, link)).toEqual([packet.toString('hex')]);
    }
  });

  test('a frame that says IPv4 and holds IPv6 is neither, as for the kernel', () => {
    const frame = ethernet(SYN);
    SYN6.copy(frame, 14);
    expect(one(frame, 1)).toEqual([]);
  });

  test('padding behind a short packet is left for the decoder, which knows where the packet ends', () => {
    const short = ipv4('198.51.100.7', '192.0.2.1', 17, Buffer.alloc(8));
    const padded = Buffer.concat([ethernet(short), Buffer.alloc(18)]);
    expect(one(padded, 1)).toEqual([Buffer.concat([short, Buffer.alloc(18)]).toString('hex')]);
  });

  test.each([9, 50])(
    'PPP, link type %d, with and without framing, with the protocol in one byte or two',
    (link) => {
      for (const framing of ['', 'ff03']) {
        expect(one(Buffer.concat([Buffer.from(`${framing}0021`, 'hex'), SYN]), link)).toEqual([hex]);
        expect(one(Buffer.concat([Buffer.from(`${framing}21`, 'hex'), SYN]), link)).toEqual([hex]);
        expect(one(Buffer.concat([Buffer.from(`${framing}0057`, 'hex'), SYN6]), link)).toEqual([hex6]);
        expect(one(Buffer.concat([Buffer.from(`${framing}c021`, 'hex'), SYN]), link)).toEqual([]);
      }
      expect(one(Buffer.concat([Buffer.from('0f000800', 'hex'), SYN]), link)).toEqual([hex]);
      for (const short of ['', 'ff', 'ff03', 'ff0300', '00'])
        expect(one(Buffer.from(short, 'hex'), link)).toEqual([]);
    },
  );

  test('PPPoE is read as a link type and inside Ethernet, behind a VLAN tag too; its discovery is not IP', () => {
    const session = (code: string, packet: Buffer, protocol = '0021'): Buffer =>
      Buffer.concat([
        Buffer.from(`11${code}0007`, 'hex'),
        be16(packet.length + 2),
        Buffer.from(protocol, 'hex'),
        packet,
      ]);
    expect(one(session('00', SYN), 51)).toEqual([hex]);
    expect(one(session('00', SYN6, '0057'), 51)).toEqual([hex6]);
    expect(one(session('09', SYN), 51)).toEqual([]);
    const inside = (tags: string): Buffer =>
      Buffer.concat([Buffer.alloc(12), Buffer.from(`${tags}8864`, 'hex'), session('00', SYN)]);
    expect(one(inside(''), 1)).toEqual([hex]);
    expect(one(inside('81000007'), 1)).toEqual([hex]);
  });

  test('NFLOG, in either byte order, whatever stands before the packet; the hook tells which way it went', () => {
    for (const order of ['LE', 'BE'] as const) {
      const attribute = (type: number, value: Buffer): Buffer => {
        const head = Buffer.alloc(4);
        head[`writeUInt16${order}`](4 + value.length, 0);
        head[`writeUInt16${order}`](type, 2);
        return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
      };
      const frame = (family: number, hook: number, packet: Buffer): Buffer =>
        Buffer.concat([
          Buffer.from([family, 0, 0, 5]),
          attribute(1, Buffer.from([8, 0, hook, 0])),
          attribute(10, Buffer.from('knock\0')),
          attribute(9, packet),
        ]);
      const frames = [1, 3, 2].map((hook) => ({ bytes: frame(2, hook, SYN), micros: MICROS }));
      const read = readAll(classic(frames, { link: 239 }));
      expect(read.packets.map((packet) => packet.slice(0, hex.length))).toEqual([hex, hex, hex]);
      expect(read.ways).toEqual([1, 2, 0]);
      expect(one(frame(10, 1, SYN6), 239).map((packet) => packet.slice(0, hex6.length))).toEqual([hex6]);
      expect(one(Buffer.concat([Buffer.from([2, 0, 0, 5]), attribute(1, Buffer.alloc(4))]), 239)).toEqual([]);
    }
  });

  test('frames without IP are counted by what they are', () => {
    const typed = (type: number): Buffer => Buffer.concat([Buffer.alloc(12), be16(type), Buffer.alloc(46)]);
    const frames = [0x0806, 0x8847, 0x8847, 0x88cc, 38, 0x1234].map((type) => ({
      bytes: typed(type),
      micros: MICROS,
    }));
    const reader = createCaptureReader(() => undefined);
    reader.push(classic(frames, { link: 1 }));
    expect([...reader.counts.others]).toEqual([
      ['ARP', 1],
      ['MPLS', 2],
      ['LLDP', 1],
      ['IEEE 802.3', 1],
      ['EtherType 0x1234', 1],
    ]);
  });
});

function be16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value, 0);
  return bytes;
}
