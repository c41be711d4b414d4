import { type Address, bytesOf, type Family, ipv4, ipv6 } from '../packet/address.ts';
import { type Cidr, HOST_BITS, networkOf } from '../packet/cidr.ts';

/** Bytes of an address of either family: IPv4 in the first four, the rest 0. */
export const ADDRESS_BYTES = 16;

/** What comes from the bus is not what its version says. Thrown and caught within this room only. */
export class Unreadable extends Error {
  readonly reason: 'version' | 'length' | 'address' | 'time';
  constructor(reason: Unreadable['reason']) {
    super(reason);
    this.name = 'Unreadable';
    this.reason = reason;
  }
}

/** Writes little-endian numbers one after the other into a buffer of the length that is known before. */
export interface Writer {
  u8(value: number): void;
  u16(value: number): void;
  u32(value: number): void;
  u48(value: number): void;
  f64(value: number): void;
  text(value: string): void;
  address(value: Address): void;
  /** The four or sixteen bytes of the address alone. */
  shortAddress(value: Address): void;
  readonly bytes: Uint8Array;
}

const LOW_32 = 2 ** 32;

export function createWriter(length: number): Writer {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const take = (size: number): number => {
    at += size;
    return at - size;
  };
  return {
    u8: (value) => view.setUint8(take(1), value),
    u16: (value) => view.setUint16(take(2), value, true),
    u32: (value) => view.setUint32(take(4), value, true),
    u48(value) {
      view.setUint32(take(4), value % LOW_32, true);
      view.setUint16(take(2), Math.floor(value / LOW_32), true);
    },
    f64: (value) => view.setFloat64(take(8), value, true),
    text(value) {
      for (let index = 0; index < value.length; index += 1) view.setUint8(take(1), value.charCodeAt(index));
    },
    address(value) {
      bytes.set(bytesOf(value), take(ADDRESS_BYTES));
    },
    shortAddress(value) {
      const short = bytesOf(value);
      bytes.set(short, take(short.length));
    },
    bytes,
  };
}

/** Reads what a Writer wrote; throws Unreadable where there is too little, or what no member writes. */
export interface Reader {
  u8(): number;
  u16(): number;
  u32(): number;
  u48(): number;
  /** A moment or a stamp: finite, and not before 1970. */
  moment(): number;
  text(length: number): string;
  address(family: Family): Address;
  /** Throws where something is left. */
  end(): void;
}

export function createReader(bytes: Uint8Array): Reader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (size: number): number => {
    if (at + size > bytes.length) throw new Unreadable('length');
    at += size;
    return at - size;
  };
  const word = (): number => view.getInt32(take(4), false);
  return {
    u8: () => view.getUint8(take(1)),
    u16: () => view.getUint16(take(2), true),
    u32: () => view.getUint32(take(4), true),
    u48() {
      const low = view.getUint32(take(4), true);
      return view.getUint16(take(2), true) * LOW_32 + low;
    },
    moment() {
      const value = view.getFloat64(take(8), true);
      // Also NaN and −0, which would be another zero to whoever compares.
      if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER) || Object.is(value, -0))
        throw new Unreadable('time');
      return value;
    },
    text(length) {
      const from = take(length);
      return String.fromCharCode(...bytes.subarray(from, from + length));
    },
    address(family) {
      const [a, b, c, d] = [word(), word(), word(), word()];
      if (family === 6) return ipv6(a, b, c, d);
      if (b !== 0 || c !== 0 || d !== 0) throw new Unreadable('address');
      return ipv4(a);
    },
    end() {
      if (at !== bytes.length) throw new Unreadable('length');
    },
  };
}

export function familyOf(value: number): Family {
  if (value !== 4 && value !== 6) throw new Unreadable('address');
  return value;
}

/** A network without bits beyond its length. */
export function networkFrom(address: Address, bits: number): Cidr {
  if (bits > HOST_BITS[address.family]) throw new Unreadable('address');
  const { address: first } = networkOf(address, bits);
  const { a, b, c, d } = first;
  if (a !== address.a || b !== address.b || c !== address.c || d !== address.d)
    throw new Unreadable('address');
  return { address, bits };
}
