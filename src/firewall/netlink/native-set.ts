import { attributeMap, NFGEN_BYTES, readAttributes } from './attributes.ts';
import type { Byte } from './native-packet.ts';

/** An element of a set of nf_tables: what it matches, from and to, and what of a map it leads to. */
export interface NativeElement {
  readonly from: Buffer;
  readonly to: Buffer;
  /** NFTA_DATA_VERDICT's nest, of a map of verdicts. */
  readonly verdict: Buffer | undefined;
}

/** NFTA_* of linux/netfilter/nf_tables.h. */
const LIST_ELEMENTS = 3;
const ELEMENT = { key: 1, data: 2, flags: 3, keyEnd: 10 } as const;
const DATA = { value: 1, verdict: 2 } as const;
const INTERVAL_END = 1;
const CATCH_ALL = 2;
/** Fields of a concatenation begin at these. */
const WORD = 4;

interface Read {
  readonly key: Buffer;
  readonly keyEnd: Buffer | undefined;
  readonly end: boolean;
  readonly verdict: Buffer | undefined;
}

/** Of the answers to NFT_MSG_GETSETELEM. */
export function readElements(payloads: readonly Buffer[]): readonly NativeElement[] {
  const found: Read[] = [];
  for (const payload of payloads) {
    const top = attributeMap(payload.subarray(NFGEN_BYTES));
    readAttributes(top.get(LIST_ELEMENTS) ?? Buffer.alloc(0), (_type, value) => {
      const each = attributeMap(value);
      const flags = each.get(ELEMENT.flags)?.readUInt32BE(0) ?? 0;
      if ((flags & CATCH_ALL) !== 0) return;
      const dataOf = (type: number): Buffer | undefined =>
        attributeMap(each.get(type) ?? Buffer.alloc(0)).get(DATA.value);
      const key = dataOf(ELEMENT.key);
      if (key === undefined) return;
      const verdict = attributeMap(each.get(ELEMENT.data) ?? Buffer.alloc(0)).get(DATA.verdict);
      found.push({ key, keyEnd: dataOf(ELEMENT.keyEnd), end: (flags & INTERVAL_END) !== 0, verdict });
    });
  }
  if (!found.some(({ end }) => end)) {
    return found.map(({ key, keyEnd, verdict }) => ({ from: key, to: keyEnd ?? key, verdict }));
  }
  // Intervals as two elements, the second of which is the first value that is out.
  const sorted = found.sort((a, b) => Buffer.compare(a.key, b.key) || Number(b.end) - Number(a.end));
  return sorted.flatMap(({ key, end, verdict }, index) => {
    if (end) return [];
    const next = sorted[index + 1];
    return [
      { from: key, to: next === undefined ? Buffer.alloc(key.length, 0xff) : before(next.key), verdict },
    ];
  });
}

/**
 * Whether a key is in a set: true where what is known of it is, whatever the rest may be. Undefined: that depends on what
 * is not known.
 */
export function isIn(key: readonly Byte[], elements: readonly NativeElement[]): boolean | undefined {
  return elementOf(key, elements) === undefined ? coverage(key, elements) : true;
}

/** The element that a key of which all is known is in. */
export function elementOf(
  key: readonly Byte[],
  elements: readonly NativeElement[],
): NativeElement | undefined {
  const { bytes, known } = wordsOf(key);
  if (known.includes(false)) return undefined;
  return elements.find((element) => fits(element, bytes, known));
}

function coverage(key: readonly Byte[], elements: readonly NativeElement[]): boolean | undefined {
  const { bytes, known } = wordsOf(key);
  const possible = elements.filter((element) => fits(element, bytes, known));
  if (possible.length === 0) return false;
  const unknown = (buffer: Buffer): Buffer =>
    Buffer.concat(known.flatMap((is, index) => (is ? [] : [wordAt(buffer, index)])));
  const spans = possible
    .map(({ from, to }) => ({ from: unknown(from), to: unknown(to) }))
    .sort((a, b) => Buffer.compare(a.from, b.from));
  const bytesUnknown = spans[0]?.from.length ?? 0;
  // Up to here, and not further, all is in.
  let next: Buffer | undefined = Buffer.alloc(bytesUnknown);
  for (const { from, to } of spans) {
    if (next === undefined) break;
    if (Buffer.compare(from, next) > 0) return undefined;
    if (Buffer.compare(to, next) >= 0) next = to.every((byte) => byte === 0xff) ? undefined : after(to);
  }
  return next === undefined ? true : undefined;
}

/** The key in words of four bytes, of which one is known where each of its bytes is. */
function wordsOf(key: readonly Byte[]): { readonly bytes: Buffer; readonly known: readonly boolean[] } {
  const words = Math.ceil(key.length / WORD);
  const known = Array.from({ length: words }, (_, index) =>
    key.slice(index * WORD, (index + 1) * WORD).every((byte) => byte !== undefined),
  );
  return { bytes: Buffer.from(key.map((byte) => byte ?? 0)), known };
}

function fits({ from, to }: NativeElement, key: Buffer, known: readonly boolean[]): boolean {
  return known.every((is, index) => {
    if (!is) return true;
    const word = wordAt(key, index);
    const low = wordAt(from, index).subarray(0, word.length);
    const high = wordAt(to, index).subarray(0, word.length);
    return Buffer.compare(word, low) >= 0 && Buffer.compare(word, high) <= 0;
  });
}

function wordAt(buffer: Buffer, index: number): Buffer {
  return buffer.subarray(index * WORD, (index + 1) * WORD);
}

function before(key: Buffer): Buffer {
  return shifted(key, -1n);
}

function after(key: Buffer): Buffer {
  return shifted(key, 1n);
}

function shifted(key: Buffer, by: bigint): Buffer {
  const digits = key.length * 2;
  const value = (BigInt(`0x0${key.toString('hex')}`) + by) & ((1n << BigInt(key.length * 8)) - 1n);
  return Buffer.from(value.toString(16).padStart(digits, '0'), 'hex');
}
