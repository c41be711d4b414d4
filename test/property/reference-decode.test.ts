import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { emptyPacket, type Packet } from '../../src/packet/packet.ts';
import { bitsOf } from '../reference/address.ts';
import { enginePacket, flagBits, flagLetters, type RefPacket } from '../reference/packet.ts';

const TCP = 6;
const UDP = 17;
/** Extension headers that may come before TCP or UDP: hop-by-hop, routing, destination options, authentication. */
const EXTENSIONS = [0, 43, 60, 51];
const AUTHENTICATION = 51;

/** What may stand between the address and the ports: how many words of options, or which extension headers. */
interface Wire {
  readonly packet: RefPacket;
  readonly optionWords: number;
  readonly extensions: readonly { readonly kind: number; readonly length: number }[];
  readonly payload: Uint8Array;
}

const byte = fc.nat(255);
const port = fc.nat(65_535);
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'));
const ipv6 = fc
  .array(port, { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(':'));

const refPacket = fc
  .tuple(
    fc.constantFrom<(4 | 6)[]>(4, 6),
    fc.boolean(),
    fc.tuple(ipv4, ipv4),
    fc.tuple(ipv6, ipv6),
    port,
    port,
    fc.nat(63),
    fc.integer(),
  )
  .map(([family, isTcp, four, six, sourcePort, target, flags, sequence]): RefPacket => {
    const [source, destination] = family === 4 ? four : six;
    const ends = { family, source, destination, sourcePort, port: target, stamped: true };
    if (!isTcp) return { ...ends, protocol: 'udp', flags: '', sequence: 0 };
    return { ...ends, protocol: 'tcp', flags: flagLetters(flags), sequence };
  });

const wire: fc.Arbitrary<Wire> = fc.record({
  packet: refPacket,
  optionWords: fc.nat(10),
  extensions: fc
    .array(fc.record({ kind: fc.constantFrom(...EXTENSIONS), length: fc.nat(3) }), {
      maxLength: 3,
    })
    // Hop-by-hop options stand first or not at all; elsewhere they are malformed.
    .map((headers) => headers.filter(({ kind }, index) => kind !== 0 || index === 0)),
  payload: fc.uint8Array({ maxLength: 40 }),
});

/** A packet with the bytes that it borrows from the buffer, wherever they lie in it. */
function told(packet: string | Packet): object | string {
  if (typeof packet === 'string') return packet;
  const { bytes, start, end, ...rest } = packet;
  const payload = rest.payload === 0 ? 0 : rest.payload - start;
  return { ...rest, payload, bytes: [...bytes.subarray(start, end)] };
}

/** What the reference knows of a packet, in the bytes that it was written in. */
function expected(one: Wire, bytes: Uint8Array): object {
  const { start: _start, end: _end, ...rest } = enginePacket(one.packet);
  const payload = one.packet.protocol === 'udp' ? bytes.length - one.payload.length : 0;
  return { ...rest, payload, length: bytes.length, bytes: [...bytes] };
}

describe('a packet', () => {
  test('is read as it was written, through options and extension headers', () => {
    fc.assert(
      fc.property(wire, (one) => {
        const bytes = bytesOf(one);
        expect(told(read(bytes))).toEqual(expected(one, bytes));
      }),
    );
  });

  test('is read alike wherever it lies in the buffer and whatever was read before it', () => {
    fc.assert(
      fc.property(wire, wire, fc.uint8Array({ maxLength: 9 }), (before, one, around) => {
        const bytes = bytesOf(one);
        const packet = emptyPacket();
        const earlier = bytesOf(before);
        decode(earlier, 0, earlier.length, packet);
        const buffer = Uint8Array.from([...around, ...bytes, ...around]);
        expect(decode(buffer, around.length, bytes.length, packet)).toBe(null);
        expect(told(packet)).toEqual(expected(one, bytes));
      }),
    );
  });

  test('that is cut off before its ports and flags is refused', () => {
    fc.assert(
      fc.property(wire, fc.nat(200), (one, cut) => {
        const bytes = bytesOf({ ...one, payload: new Uint8Array() });
        const length = cut % bytes.length;
        // What is left of TCP when its urgent pointer and checksum are gone says all that matters.
        const needed = bytes.length - (one.packet.protocol === 'tcp' ? 6 : 4);
        if (length < needed) expect(decode(bytes, 0, length, emptyPacket())).not.toBe(null);
      }),
    );
  });

  test('that is a later fragment, or neither TCP nor UDP, is refused', () => {
    fc.assert(
      fc.property(wire, fc.integer({ min: 1, max: 8191 }), byte, (one, offset, protocol) => {
        fc.pre(one.packet.family === 4);
        const fragment = bytesOf(one);
        fragment[6] = offset >> 8;
        fragment[7] = offset % 256;
        expect(decode(fragment, 0, fragment.length, emptyPacket())).toBe('fragment');
        const other = bytesOf(one);
        other[9] = protocol;
        const known = protocol === TCP || protocol === UDP;
        if (!known) expect(decode(other, 0, other.length, emptyPacket())).toBe('protocol');
      }),
    );
  });
});

function read(bytes: Uint8Array): Packet | string {
  const packet = emptyPacket();
  return decode(bytes, 0, bytes.length, packet) ?? packet;
}

function bytesOf(one: Wire): Uint8Array {
  const transport = [...transportOf(one.packet), ...one.payload];
  return Uint8Array.from(one.packet.family === 4 ? overIpv4(one, transport) : overIpv6(one, transport));
}

function overIpv4({ packet, optionWords }: Wire, transport: readonly number[]): readonly number[] {
  const header = 20 + 4 * optionWords;
  const fixed = [0x40 + header / 4, 0, ...two(header + transport.length), 0, 0, 0x40, 0, 64];
  const protocol = packet.protocol === 'tcp' ? TCP : UDP;
  const options = Array.from({ length: 4 * optionWords }, () => 1);
  const ends = [...addressBytes(packet.source), ...addressBytes(packet.destination)];
  return [...fixed, protocol, 0, 0, ...ends, ...options, ...transport];
}

function overIpv6({ packet, extensions }: Wire, transport: readonly number[]): readonly number[] {
  const last = packet.protocol === 'tcp' ? TCP : UDP;
  const headers = extensions.flatMap(({ kind, length }, index) => {
    const next = extensions[index + 1]?.kind ?? last;
    // The authentication header counts words of 4 bytes less two; all others, words of 8 less one.
    const rest = kind === AUTHENTICATION ? 4 * (length + 2) - 2 : 8 * (length + 1) - 2;
    return [next, length, ...Array.from({ length: rest }, () => 0)];
  });
  const fixed = [0x60, 0, 0, 0, ...two(headers.length + transport.length), extensions[0]?.kind ?? last, 64];
  return [
    ...fixed,
    ...addressBytes(packet.source),
    ...addressBytes(packet.destination),
    ...headers,
    ...transport,
  ];
}

function transportOf(packet: RefPacket): readonly number[] {
  const ports = [...two(packet.sourcePort), ...two(packet.port)];
  if (packet.protocol === 'udp') return [...ports, 0, 8, 0, 0];
  const sequence = [...two((packet.sequence >>> 16) & 0xffff), ...two(packet.sequence & 0xffff)];
  return [...ports, ...sequence, 0, 0, 0, 0, 0x50, flagBits(packet.flags), 0xff, 0xff, 0, 0, 0, 0];
}

function addressBytes(text: string): readonly number[] {
  const digits = bitsOf(text).slice(1);
  return Array.from({ length: digits.length / 8 }, (_, index) =>
    Number.parseInt(digits.slice(8 * index, 8 * index + 8), 2),
  );
}

function two(value: number): readonly number[] {
  return [value >> 8, value % 256];
}
