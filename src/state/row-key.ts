import type { Cidr } from '../packet/cidr.ts';

/**
 * A network as the file and the maps know it: `4:cb007109/32`, `6:20010db8000000010000000000000000/64`. Fixed
 * hexadecimal, since a full table of IPv6 networks in the form for people takes seconds to read.
 */
export function keyOf({ address, bits }: Cidr): string {
  const { family, a, b, c, d } = address;
  const words = family === 4 ? hex(a) : hex(a) + hex(b) + hex(c) + hex(d);
  return `${family}:${words}/${bits}`;
}

/** The network of a key; undefined where the text is none. */
export function cidrOf(key: string): Cidr | undefined {
  const match = /^(?:(4):([0-9a-f]{8})|(6):([0-9a-f]{32}))\/(\d{1,3})$/.exec(key);
  if (match === null) return undefined;
  const family = match[1] === undefined ? 6 : 4;
  const words = match[2] ?? match[4] ?? '';
  const bits = Number(match[5]);
  if (bits > (family === 4 ? 32 : 128)) return undefined;
  const word = (index: number): number =>
    family === 4 && index > 0 ? 0 : Number.parseInt(words.slice(index * 8, index * 8 + 8), 16) | 0;
  return { address: { family, a: word(0), b: word(1), c: word(2), d: word(3) }, bits };
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
