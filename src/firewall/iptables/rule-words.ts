import { createHash } from 'node:crypto';
import type { Family } from '../../packet/address.ts';
import { formatAddress } from '../../packet/address.ts';
import { attributeMap } from '../netlink/attributes.ts';
import { matchInfo, matchName, type NftRule } from '../netlink/nftables-message.ts';

/**
 * A grant's rule in iptables's words, without asking iptables: to print one chain it reads every rule that anyone has in
 * the table, half a second's work with twenty thousand. Rules of one door differ in three places only: the source's
 * address, the end, and the comment. What stands around these is learned from a rule that iptables has printed.
 */
export interface RuleWords {
  /** Undefined where no such rule has been learned yet, or one that can't be told so. */
  textOf(rule: NftRule): string | undefined;
  /** `text` is what iptables prints of the rule. */
  learn(rule: NftRule, text: string): void;
}

/** Doors, each with their ports, protocols and lengths of networks, that are remembered. */
const SHAPES_MAX = 1024;

/** NFTA_PAYLOAD_*, NFTA_CMP_DATA and NFTA_DATA_VALUE of linux/netfilter/nf_tables.h. */
const PAYLOAD = { base: 2, offset: 3 } as const;
const CMP_DATA = 3;
const DATA_VALUE = 1;
/** NFT_PAYLOAD_NETWORK_HEADER; where the source stands in a header of IPv4 and IPv6, and its bytes. */
const NETWORK_HEADER = 1;
const SOURCE = { 4: { offset: 12, bytes: 4 }, 6: { offset: 8, bytes: 16 } } as const;
/** `date_stop` of `struct xt_time_info` (linux/netfilter/xt_time.h), in the machine's order. */
const DATE_STOP = { from: 4, to: 8 } as const;

const GRANT_COMMENT = /^nfknock door=[\w.-]+ until=\d{1,16}$/;
const SOURCE_WORDS = /^-s (\S+)\/(\d+) /;
const STOP_WORDS = / --datestop (\S+)/;
const COMMENT_WORDS = / --comment "([^"]*)"/;

/** What tells one rule of a shape from another. */
interface Parts {
  /** The same for all rules of a shape. */
  readonly shape: string;
  readonly source: Buffer | undefined;
  readonly stop: string;
  readonly comment: string;
}

/** Words before, between and after the parts, and the length of the network. */
interface Shape {
  readonly bits: string | undefined;
  readonly text: string;
}

export function openRuleWords(family: Family): RuleWords {
  const shapes = new Map<string, Shape>();

  const fill = ({ text, bits }: Shape, { source, stop, comment }: Parts): string | undefined => {
    if ((bits === undefined) !== (source === undefined)) return undefined;
    const from = source === undefined ? '' : `-s ${addressOf(source, family)}/${bits} `;
    return `${from}${text
      .replace(STOP_WORDS, () => ` --datestop ${stop}`)
      .replace(COMMENT_WORDS, () => ` --comment "${comment}"`)}`;
  };

  return {
    textOf(rule) {
      const parts = partsOf(rule, family);
      const shape = parts === undefined ? undefined : shapes.get(parts.shape);
      return parts === undefined || shape === undefined ? undefined : fill(shape, parts);
    },
    learn(rule, text) {
      const parts = partsOf(rule, family);
      if (parts === undefined || shapes.has(parts.shape)) return;
      const shape = { bits: SOURCE_WORDS.exec(text)?.[2], text: text.replace(SOURCE_WORDS, '') };
      // Whatever this does not give back to the letter is printed each time.
      if (fill(shape, parts) !== text) return;
      if (shapes.size >= SHAPES_MAX) shapes.clear();
      shapes.set(parts.shape, shape);
    },
  };
}

/** Undefined for a rule that is no grant, or says one of the three more than once or not at all. */
function partsOf({ expressions }: NftRule, family: Family): Parts | undefined {
  const hash = createHash('sha256');
  const sources: Buffer[] = [];
  const stops: string[] = [];
  const comments: string[] = [];
  let ofSource = false;
  for (const expression of expressions) {
    const { name, data } = expression;
    if (name === 'counter') continue;
    hash.update(`${name} `);
    const match = matchName(expression);
    if (name === 'payload') ofSource = isSource(data, family);
    if (name === 'cmp' && ofSource) {
      ofSource = false;
      const value = comparedTo(data);
      sources.push(value);
      hash.update(`${without(data, value)}\n`);
    } else if (match === 'time') {
      const info = matchInfo(expression);
      if (info.length < DATE_STOP.to) return undefined;
      stops.push(stopOf(info));
      hash.update(`time ${without(info, info.subarray(DATE_STOP.from, DATE_STOP.to))}\n`);
    } else if (match === 'comment') {
      comments.push(matchInfo(expression).toString('latin1').split('\0')[0] ?? '');
      hash.update('comment\n');
    } else hash.update(`${data.toString('hex')}\n`);
  }
  const [stop] = stops;
  const [comment] = comments;
  if (sources.length > 1 || stops.length !== 1 || comments.length !== 1) return undefined;
  if (stop === undefined || comment === undefined || !GRANT_COMMENT.test(comment)) return undefined;
  return { shape: hash.digest('base64'), source: sources[0], stop, comment };
}

function isSource(payload: Buffer, family: Family): boolean {
  const parts = attributeMap(payload);
  const number = (type: number): number | undefined => {
    const value = parts.get(type);
    return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : undefined;
  };
  return number(PAYLOAD.base) === NETWORK_HEADER && number(PAYLOAD.offset) === SOURCE[family].offset;
}

function comparedTo(cmp: Buffer): Buffer {
  const data = attributeMap(cmp).get(CMP_DATA) ?? Buffer.alloc(0);
  return attributeMap(data).get(DATA_VALUE) ?? Buffer.alloc(0);
}

/** The bytes around a part of them, and how long that is. */
function without(whole: Buffer, part: Buffer): string {
  const at = part.byteOffset - whole.byteOffset;
  const after = whole.toString('hex', at + part.length);
  return `${whole.toString('hex', 0, at)} ${part.length} ${after}`;
}

/** As `--datestop` is printed. */
function stopOf(info: Buffer): string {
  return new Date(info.readUInt32LE(DATE_STOP.from) * 1000).toISOString().slice(0, 19);
}

/** Of a network only the bytes that count are compared. */
function addressOf(source: Buffer, family: Family): string {
  const bytes = Buffer.alloc(SOURCE[family].bytes);
  source.copy(bytes);
  const [a, b, c, d] = [0, 4, 8, 12].map((at) => (at < bytes.length ? bytes.readUInt32BE(at) : 0));
  return formatAddress({ family, a: a ?? 0, b: b ?? 0, c: c ?? 0, d: d ?? 0 });
}
