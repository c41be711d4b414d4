import type { Address } from '../../src/packet/address.ts';
import type { Cidr } from '../../src/packet/cidr.ts';

/**
 * Addresses as the model sees them: a string of binary digits after the family's own digit, `4` or `6`. A
 * network is the beginning of such a string, so that "contains" is `startsWith` and nothing else.
 */
export type Bits = string;

const known = new Map<string, Bits>();

/** Reads an address in text: dotted IPv4, or IPv6 with or without `::`. */
export function bitsOf(text: string): Bits {
  const remembered = known.get(text);
  if (remembered !== undefined) return remembered;
  const bits = text.includes(':') ? `6${groupsOf(text).map(binary16).join('')}` : `4${quads(text)}`;
  known.set(text, bits);
  return bits;
}

/** Writes bits as text; IPv6 in eight groups with nothing left out, since it is only ever compared. */
export function textOf(bits: Bits): string {
  const digits = bits.slice(1);
  if (bits.startsWith('4')) return chunks(digits, 8).join('.');
  return chunks(digits, 16)
    .map((group) => group.toString(16))
    .join(':');
}

/** Writes a network with its length, a host's too. */
export function networkText(bits: Bits): string {
  const whole = bits.padEnd(bits.startsWith('4') ? 33 : 129, '0');
  return `${textOf(whole)}/${bits.length - 1}`;
}

/** The network that offences are counted by as a rule: all 32 bits of IPv4, the first 64 of IPv6. */
export function networkOf(source: Bits): Bits {
  return source.startsWith('4') ? source : source.slice(0, 65);
}

/** Whether two networks have an address in common. */
export function overlap(x: Bits, y: Bits): boolean {
  return x.startsWith(y) || y.startsWith(x);
}

/** The words of the engine's own type, spelt out. */
export function bitsOfAddress(address: Address): Bits {
  const words = address.family === 4 ? [address.a] : [address.a, address.b, address.c, address.d];
  return address.family + words.map((word) => (word >>> 0).toString(2).padStart(32, '0')).join('');
}

export function bitsOfCidr(cidr: Cidr): Bits {
  return bitsOfAddress(cidr.address).slice(0, cidr.bits + 1);
}

function quads(text: string): string {
  return text
    .split('.')
    .map((quad) => Number(quad).toString(2).padStart(8, '0'))
    .join('');
}

function groupsOf(text: string): string[] {
  const [before = '', after] = text.split('::');
  const left = before === '' ? [] : before.split(':');
  if (after === undefined) return left;
  const right = after === '' ? [] : after.split(':');
  return [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
}

function binary16(group: string): string {
  return Number.parseInt(group, 16).toString(2).padStart(16, '0');
}

function chunks(digits: string, size: number): number[] {
  const count = digits.length / size;
  return Array.from({ length: count }, (_, i) => Number.parseInt(digits.slice(i * size, (i + 1) * size), 2));
}
