import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

/**
 * An IP address as the packet carried it: the family and its bytes as signed 32-bit words, big-endian, the
 * first word in `a`. IPv4 uses `a` alone; the others are 0. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`)
 * stays IPv6: folding it would let one family's packets speak for the other's.
 */
export interface Address {
  readonly family: Family;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

export function ipv4(a: number): Address {
  return { family: 4, a: a | 0, b: 0, c: 0, d: 0 };
}

export function ipv6(a: number, b: number, c: number, d: number): Address {
  return { family: 6, a: a | 0, b: b | 0, c: c | 0, d: d | 0 };
}

/** Reads `198.51.100.7` or `2001:db8::7`. Short, octal and hexadecimal IPv4 forms and zones are refused. */
export function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return ipv4(wordOf(ipaddr.IPv4.parse(text).toByteArray(), 0));
  }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const bytes = ipaddr.IPv6.parse(text).toByteArray();
  return ipv6(wordOf(bytes, 0), wordOf(bytes, 4), wordOf(bytes, 8), wordOf(bytes, 12));
}

/**
 * The IPv4 address that an IPv4-mapped one (`::ffff:198.51.100.7`) stands for, as programs that listen on both families
 * log it; any other as it is. For what people write: no packet comes from such an address.
 */
export function unmapped(address: Address): Address {
  const { family, a, b, c, d } = address;
  return family === 6 && a === 0 && b === 0 && c === 0xffff ? ipv4(d) : address;
}

/** Writes dotted IPv4, or IPv6 as RFC 5952 says. */
export function formatAddress(address: Address): string {
  const { a } = address;
  if (address.family === 4) return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
  return new ipaddr.IPv6(bytesOf(address)).toRFC5952String();
}

/** The address's bytes in network order: 4 or 16. */
export function bytesOf(address: Address): number[] {
  const bytes: number[] = [];
  pushWord(bytes, address.a);
  if (address.family === 6) for (const word of [address.b, address.c, address.d]) pushWord(bytes, word);
  return bytes;
}

function pushWord(bytes: number[], word: number): void {
  bytes.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
}

export function sameAddress(x: Address, y: Address): boolean {
  return x.family === y.family && x.a === y.a && x.b === y.b && x.c === y.c && x.d === y.d;
}

function wordOf(bytes: readonly number[], at: number): number {
  const [w = 0, x = 0, y = 0, z = 0] = bytes.slice(at, at + 4);
  return (w << 24) | (x << 16) | (y << 8) | z;
}

export function isLoopback({ family, a, b, c, d }: Address): boolean {
  return family === 4 ? a >>> 24 === 127 : (a | b | c) === 0 && d === 1;
}
