import { attributeMap } from './attributes.ts';
import { type Byte, ctOf, metaOf, type NativePacket, payloadOf } from './native-packet.ts';
import { elementOf, isIn, type NativeElement } from './native-set.ts';
import type { NftRule } from './nftables-message.ts';

/** What a rule does with a packet: `go` leads into another chain, `pass` goes on to the next rule. */
export type NativeVerdict =
  | { readonly verdict: 'accept' | 'drop' | 'pass' | 'return' }
  | { readonly verdict: 'jump' | 'goto'; readonly chain: string };

/** Elements of a set or map of the rule's table; undefined: they are not known. */
export type ElementsOf = (set: string) => Promise<readonly NativeElement[] | undefined>;

/** NFTA_* of linux/netfilter/nf_tables.h. */
const META = { dreg: 1, key: 2 } as const;
const SREG = { meta: 3, ct: 4 } as const;
const PAYLOAD = { dreg: 1, base: 2, offset: 3, len: 4 } as const;
const CT = { dreg: 1, key: 2 } as const;
const CMP = { sreg: 1, op: 2, data: 3 } as const;
const RANGE = { sreg: 1, op: 2, from: 3, to: 4 } as const;
const BITWISE = { sreg: 1, dreg: 2, len: 3, mask: 4, xor: 5, op: 6 } as const;
const BYTEORDER = { sreg: 1, dreg: 2, len: 4, size: 5 } as const;
const LOOKUP = { set: 1, sreg: 2, dreg: 3, flags: 5 } as const;
const IMMEDIATE = { dreg: 1, data: 2 } as const;
const DATA = { value: 1, verdict: 2 } as const;
const VERDICT = { code: 1, chain: 2 } as const;
const INVERTED = 1;
/** NFT_REG32_00, and NFT_REG_1 with its fellows, which are four of those each. */
const REG32_FIRST = 8;
const REG_BYTES = 16;
const WORD = 4;
/** Sixteen words behind the verdict's, and room for what is read into the last. */
const REGISTERS_BYTES = 96;
/** enum nft_cmp_ops. */
const COMPARE: readonly ((order: number) => boolean)[] = [
  (order) => order === 0,
  (order) => order !== 0,
  (order) => order < 0,
  (order) => order <= 0,
  (order) => order > 0,
  (order) => order >= 0,
];
/** NF_ACCEPT, NF_DROP and NFT_* of linux/netfilter.h and nf_tables.h. */
const CODES: ReadonlyMap<number, NativeVerdict['verdict']> = new Map([
  [0, 'drop'],
  [1, 'accept'],
  [-1, 'pass'],
  [-3, 'jump'],
  [-4, 'goto'],
  [-5, 'return'],
]);
/** Expressions that look at no packet and end nothing. */
const IDLE: readonly string[] = ['counter', 'log', 'notrack', 'objref', 'last', 'dup'];
const PASS: NativeVerdict = { verdict: 'pass' };

type Attributes = ReadonlyMap<number, Buffer>;

/** A rule of another program, made ready to be asked about many packets. */
export interface NativeRule {
  readonly expressions: readonly { readonly name: string; readonly attributes: Attributes }[];
  /** The kinds of packets of which it was seen that it decides none, since it asks what nobody knows. */
  idleFor: number;
}

export function nativeRule({ expressions }: NftRule): NativeRule {
  return {
    expressions: expressions.map(({ name, data }) => ({ name, attributes: attributeMap(data) })),
    idleFor: 0,
  };
}

/** A bit for each kind. What is known of the packets of one kind is the same, and only what it is differs. */
function kindOf({ family, protocol }: NativePacket): number {
  return 1 << ((family === 4 ? 0 : 2) + (protocol === 'tcp' ? 0 : 1));
}

/**
 * What becomes of a packet at a rule. A rule whose condition is not known to hold counts as one that does not: what
 * accepts some only is not relied on, and what drops some only is a ban, or a limit, and meant to hold.
 */
export async function atRule(
  rule: NativeRule,
  packet: NativePacket,
  elementsOf: ElementsOf,
): Promise<NativeVerdict> {
  const kind = kindOf(packet);
  if ((rule.idleFor & kind) !== 0) return PASS;
  const registers: Byte[] = new Array<Byte>(REGISTERS_BYTES).fill(undefined);
  let verdict = PASS;
  /** A map may decide a packet before the rule comes to what nobody knows. */
  let decides = false;
  const unknown = (): NativeVerdict => {
    if (!decides) rule.idleFor |= kind;
    return PASS;
  };
  for (const { name, attributes } of rule.expressions) {
    if (IDLE.includes(name) || isStatement(name, attributes)) continue;
    if (name === 'reject') return { verdict: 'drop' };
    if (name === 'immediate') {
      verdict = verdictOf(attributeMap(attributes.get(IMMEDIATE.data) ?? Buffer.alloc(0)).get(DATA.verdict));
      if (verdict.verdict !== 'pass') return verdict;
      continue;
    }
    if (loads(name, attributes, registers, packet)) continue;
    if (name === 'lookup') {
      if (isUnknown(attributes, registers)) return unknown();
      decides = true;
      const found = await looksUp(attributes, registers, elementsOf);
      if (found === undefined) return PASS;
      if (found.verdict !== 'pass') return found;
      continue;
    }
    const held = holds(name, attributes, registers);
    if (held === undefined) return unknown();
    if (!held) return PASS;
  }
  return verdict;
}

/** `meta mark set` and the like: something is changed, and nothing asked. */
function isStatement(name: string, attributes: Attributes): boolean {
  return (name === 'meta' || name === 'ct') && attributes.has(SREG[name]);
}

/** Reads something of the packet into a register; false for another kind of expression. */
function loads(name: string, attributes: Attributes, registers: Byte[], packet: NativePacket): boolean {
  const number = (type: number): number => numberOf(attributes.get(type));
  const into = (type: number, bytes: readonly Byte[]): boolean => {
    const at = placeOf(number(type));
    // Words are filled up with zeros. What is not known may be longer than it looks.
    const filled = Math.ceil(bytes.length / WORD) * WORD;
    for (let index = 0; index < REG_BYTES; index += 1) {
      registers[at + index] = index >= bytes.length && index < filled ? 0 : bytes[index];
    }
    return true;
  };
  switch (name) {
    case 'meta':
      return attributes.has(META.dreg) && into(META.dreg, metaOf(packet, number(META.key)));
    case 'ct':
      return attributes.has(CT.dreg) && into(CT.dreg, ctOf(number(CT.key)));
    case 'payload': {
      if (!attributes.has(PAYLOAD.dreg)) return false;
      const bytes = payloadOf(packet, number(PAYLOAD.base), number(PAYLOAD.offset), number(PAYLOAD.len));
      return into(PAYLOAD.dreg, bytes);
    }
    case 'bitwise': {
      if (number(BITWISE.op) !== 0) return into(BITWISE.dreg, []);
      const mask = dataOf(attributes.get(BITWISE.mask));
      const xor = dataOf(attributes.get(BITWISE.xor));
      const from = placeOf(number(BITWISE.sreg));
      return into(
        BITWISE.dreg,
        Array.from({ length: number(BITWISE.len) }, (_, index): Byte => {
          const bits = mask[index] ?? 0;
          const byte = bits === 0 ? 0 : registers[from + index];
          return byte === undefined ? undefined : (byte & bits) ^ (xor[index] ?? 0);
        }),
      );
    }
    case 'byteorder': {
      const [from, length, unit] = [
        placeOf(number(BYTEORDER.sreg)),
        number(BYTEORDER.len),
        number(BYTEORDER.size),
      ];
      const whole = unit === 0 ? 0 : length - (length % unit);
      return into(
        BYTEORDER.dreg,
        Array.from({ length }, (_, index): Byte => {
          const within = index % unit;
          return registers[from + (index < whole ? index - within + (unit - 1 - within) : index)];
        }),
      );
    }
    default:
      return false;
  }
}

/** Whether a comparison holds; undefined where that is not known, as of any other condition. */
function holds(name: string, attributes: Attributes, registers: readonly Byte[]): boolean | undefined {
  if (name === 'cmp') {
    const wanted = dataOf(attributes.get(CMP.data));
    const there = bytesAt(registers, numberOf(attributes.get(CMP.sreg)), wanted.length);
    const compare = COMPARE[numberOf(attributes.get(CMP.op))];
    return there === undefined ? undefined : compare?.(Buffer.compare(there, wanted)) === true;
  }
  if (name === 'range') {
    const from = dataOf(attributes.get(RANGE.from));
    const there = bytesAt(registers, numberOf(attributes.get(RANGE.sreg)), from.length);
    if (there === undefined) return undefined;
    const inside =
      Buffer.compare(there, from) >= 0 && Buffer.compare(there, dataOf(attributes.get(RANGE.to))) <= 0;
    return inside === (numberOf(attributes.get(RANGE.op)) === 0);
  }
  return undefined;
}

/** Of a set of addresses nothing can be said; it may have a million of them. */
function isUnknown(attributes: Attributes, registers: readonly Byte[]): boolean {
  const at = placeOf(numberOf(attributes.get(LOOKUP.sreg)));
  return registers.slice(at).every((byte) => byte === undefined);
}

/** Undefined where the packet is not in the set, or nobody knows. */
async function looksUp(
  attributes: Attributes,
  registers: readonly Byte[],
  elementsOf: ElementsOf,
): Promise<NativeVerdict | undefined> {
  const at = placeOf(numberOf(attributes.get(LOOKUP.sreg)));
  const elements = await elementsOf(textOf(attributes.get(LOOKUP.set)));
  if (elements === undefined) return undefined;
  const key = registers.slice(at, at + (elements[0]?.from.length ?? 0));
  const isMap = attributes.has(LOOKUP.dreg);
  if (isMap && numberOf(attributes.get(LOOKUP.dreg)) !== 0) return undefined;
  if (isMap) {
    const element = elementOf(key, elements);
    return element === undefined ? undefined : verdictOf(element.verdict);
  }
  const inverted = (numberOf(attributes.get(LOOKUP.flags)) & INVERTED) !== 0;
  return isIn(key, elements) === !inverted ? PASS : undefined;
}

function verdictOf(nest: Buffer | undefined): NativeVerdict {
  const parts = attributeMap(nest ?? Buffer.alloc(0));
  const verdict = CODES.get(numberOf(parts.get(VERDICT.code)) | 0);
  if (nest === undefined || verdict === undefined) return PASS;
  if (verdict !== 'jump' && verdict !== 'goto') return { verdict };
  return { verdict, chain: textOf(parts.get(VERDICT.chain)) };
}

function bytesAt(registers: readonly Byte[], register: number, length: number): Buffer | undefined {
  const at = placeOf(register);
  const bytes = registers.slice(at, at + length);
  return bytes.every((byte) => byte !== undefined) ? Buffer.from(bytes) : undefined;
}

function placeOf(register: number): number {
  const at = register >= REG32_FIRST ? REG_BYTES + (register - REG32_FIRST) * 4 : register * REG_BYTES;
  return Math.min(Math.max(0, at), REGISTERS_BYTES - REG_BYTES);
}

function dataOf(nest: Buffer | undefined): Buffer {
  return attributeMap(nest ?? Buffer.alloc(0)).get(DATA.value) ?? Buffer.alloc(0);
}

function numberOf(value: Buffer | undefined): number {
  return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : 0;
}

function textOf(value: Buffer | undefined): string {
  return value === undefined ? '' : (value.toString('latin1').split('\0')[0] ?? '');
}
