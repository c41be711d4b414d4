import type { Family } from '../../packet/address.ts';
import { type Cidr, HOST_BITS, networkOf } from '../../packet/cidr.ts';
import type { SetEntry } from '../change.ts';
import type { SetSpec } from '../rules/rules.ts';
import {
  AF,
  attributeMap,
  type MessageWriter,
  NFGEN_BYTES,
  NLM_F,
  readAttributes,
  writeMessage,
} from './attributes.ts';

/** NFNL_SUBSYS_IPSET of linux/netfilter/nfnetlink.h, as the upper byte of a message's type. */
const SUBSYSTEM: number = 6 << 8;
/** Version 6 is the oldest that is still spoken; all that is asked here is in it. */
const PROTOCOL = 6;
/** A set's index is told since version 7 (Linux 4.20). */
const PROTOCOL_OF_INDEX = 7;

/** enum ipset_cmd of linux/netfilter/ipset/ip_set.h. */
export const COMMAND = {
  create: 2,
  destroy: 3,
  flush: 4,
  swap: 6,
  list: 7,
  add: 9,
  del: 10,
  test: 11,
  header: 12,
  type: 13,
  byName: 14,
} as const;

/** IPSET_ATTR_* of the same header: first of a command, then inside IPSET_ATTR_DATA. */
const ATTRIBUTE = {
  protocol: 1,
  name: 2,
  otherName: 3,
  type: 3,
  revision: 4,
  family: 5,
  flags: 6,
  data: 7,
  entries: 8,
  line: 9,
  index: 11,
} as const;
const DATA = { address: 1, bits: 3, timeout: 6, line: 9, limit: 19 } as const;
const ADDRESS = { 4: 1, 6: 2 } as const;
/** IPSET_ATTR_ELEMENTS, counted from IPSET_ATTR_CADT_MAX (16). */
const DATA_ELEMENTS = 24;
const FLAG_LIST_HEADER = 1 << 2;

/**
 * Entries that one message carries. A nested attribute's length is 16 bits; an IPv6 entry takes 52 bytes.
 */
export const ENTRIES_PER_MESSAGE = 1000;
const ENTRY_BYTES_MAX = 60;

export function createMessage(spec: SetSpec): Buffer {
  const message = begin(COMMAND.create, spec.name, NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.excl, {
    family: AF[spec.family],
  });
  message.text(ATTRIBUTE.type, spec.type);
  // Revision 0 of both types has timeouts, and every `ipset` can list it.
  message.u8(ATTRIBUTE.revision, 0);
  message.u8(ATTRIBUTE.family, AF[spec.family]);
  message.begin(ATTRIBUTE.data);
  // 0: entries without a time of their own stay. Without this attribute none could have one.
  message.u32(DATA.timeout, 0);
  message.u32(DATA.limit, spec.limit);
  message.end();
  return message.finish();
}

export function nameMessage(command: number, name: string): Buffer {
  return begin(command, name, NLM_F.request | NLM_F.ack).finish();
}

export function swapMessage(name: string, other: string): Buffer {
  const message = begin(COMMAND.swap, name, NLM_F.request | NLM_F.ack);
  message.text(ATTRIBUTE.otherName, other);
  return message.finish();
}

/** Asks for a set's index. */
export function indexMessage(name: string): Buffer {
  const message = writeMessage({
    type: SUBSYSTEM | COMMAND.byName,
    flags: NLM_F.request | NLM_F.ack,
    family: 0,
  });
  message.u8(ATTRIBUTE.protocol, PROTOCOL_OF_INDEX);
  message.text(ATTRIBUTE.name, name);
  return message.finish();
}

/** Reads the answer to `indexMessage`; `payload` is what follows `struct nlmsghdr`. */
export function readIndex(payload: Buffer): number {
  const index = attributeMap(payload.subarray(NFGEN_BYTES)).get(ATTRIBUTE.index);
  if (index === undefined || index.length < 2) throw new RangeError('the kernel named no index for a set');
  return index.readUInt16BE(0);
}

/** Lists one set, or only what is known of the set itself. */
export function listMessage(name: string, what: 'entries' | 'header'): Buffer {
  const message = begin(COMMAND.list, name, NLM_F.request | NLM_F.dump);
  if (what === 'header') message.u32(ATTRIBUTE.flags, FLAG_LIST_HEADER);
  return message.finish();
}

/** Lists the header of every set. */
export function listAllMessage(): Buffer {
  const message = writeMessage({
    type: SUBSYSTEM | COMMAND.list,
    flags: NLM_F.request | NLM_F.dump,
    family: 0,
  });
  message.u8(ATTRIBUTE.protocol, PROTOCOL);
  message.u32(ATTRIBUTE.flags, FLAG_LIST_HEADER);
  return message.finish();
}

/** Entries `first` to at most ENTRIES_PER_MESSAGE on. An entry that is there gets its timeout anew. */
export function entriesMessage(
  command: number,
  name: string,
  entries: readonly SetEntry[],
  first: number,
): Buffer {
  const last = Math.min(entries.length, first + ENTRIES_PER_MESSAGE);
  // Without NLM_F_EXCL an entry that is there, or gone, already is no error.
  const bytes = 256 + (last - first) * ENTRY_BYTES_MAX;
  const message = begin(command, name, NLM_F.request | NLM_F.ack, { bytes });
  message.u32(ATTRIBUTE.line, 0);
  message.begin(ATTRIBUTE.entries);
  for (let index = first; index < last; index += 1) {
    const entry = entries[index];
    if (entry === undefined) break;
    message.begin(ATTRIBUTE.data);
    writeTarget(message, entry.target);
    if (command === COMMAND.add) message.u32(DATA.timeout, entry.seconds);
    // The kernel sends back the line of the entry that it refuses.
    message.u32(DATA.line, index + 1);
    message.end();
  }
  message.end();
  return message.finish();
}

/** Asks whether one entry is there. */
export function testMessage(name: string, target: Cidr): Buffer {
  const message = begin(COMMAND.test, name, NLM_F.request | NLM_F.ack);
  message.begin(ATTRIBUTE.data);
  writeTarget(message, target);
  message.end();
  return message.finish();
}

/** Which entry, from 0, the refused message stopped at; undefined where the kernel does not say. */
export function refusedEntry(echo: Buffer): number | undefined {
  const line = attributeMap(echo.subarray(16 + NFGEN_BYTES)).get(ATTRIBUTE.line);
  const number = line !== undefined && line.length >= 4 ? line.readUInt32BE(0) : 0;
  return number > 0 ? number - 1 : undefined;
}

/** A set as a list tells of it: `entries` only those of this piece of the list. */
export interface ListedSet {
  readonly name: string;
  readonly family: Family;
  readonly limit: number | undefined;
  readonly count: number | undefined;
  readonly entries: readonly SetEntry[];
}

/** Reads one message of a list; `payload` is what follows `struct nlmsghdr`. */
export function readListed(payload: Buffer): ListedSet {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const name = top.get(ATTRIBUTE.name);
  const header = attributeMap(top.get(ATTRIBUTE.data) ?? Buffer.alloc(0));
  const entries: SetEntry[] = [];
  readAttributes(top.get(ATTRIBUTE.entries) ?? Buffer.alloc(0), (_type, value) => {
    const entry = readEntry(value);
    if (entry !== undefined) entries.push(entry);
  });
  return {
    name: name === undefined ? '' : name.toString('latin1', 0, Math.max(0, name.indexOf(0))),
    family: top.get(ATTRIBUTE.family)?.[0] === AF[6] ? 6 : 4,
    limit: numberOf(header.get(DATA.limit)),
    count: numberOf(header.get(DATA_ELEMENTS)),
    entries,
  };
}

function begin(
  command: number,
  name: string,
  flags: number,
  { family = AF[4], bytes }: { readonly family?: number; readonly bytes?: number } = {},
): MessageWriter {
  const message = writeMessage({ type: SUBSYSTEM | command, flags, family }, bytes);
  message.u8(ATTRIBUTE.protocol, PROTOCOL);
  message.text(ATTRIBUTE.name, name);
  return message;
}

function writeTarget(message: MessageWriter, { address, bits }: Cidr): void {
  message.begin(DATA.address);
  if (address.family === 4) message.words(ADDRESS[4], [address.a]);
  else message.words(ADDRESS[6], [address.a, address.b, address.c, address.d]);
  message.end();
  if (bits !== HOST_BITS[address.family]) message.u8(DATA.bits, bits);
}

function readEntry(value: Buffer): SetEntry | undefined {
  const data = attributeMap(value);
  const address = attributeMap(data.get(DATA.address) ?? Buffer.alloc(0));
  const four = address.get(ADDRESS[4]);
  const six = address.get(ADDRESS[6]);
  const seconds = numberOf(data.get(DATA.timeout)) ?? 0;
  const bits = data.get(DATA.bits)?.[0];
  if (four !== undefined && four.length >= 4) {
    const host = { family: 4, a: four.readInt32BE(0), b: 0, c: 0, d: 0 } as const;
    return { target: networkOf(host, bits ?? HOST_BITS[4]), seconds };
  }
  if (six === undefined || six.length < 16) return undefined;
  const [a, b, c, d] = [six.readInt32BE(0), six.readInt32BE(4), six.readInt32BE(8), six.readInt32BE(12)];
  return { target: networkOf({ family: 6, a, b, c, d }, bits ?? HOST_BITS[6]), seconds };
}

function numberOf(value: Buffer | undefined): number | undefined {
  return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : undefined;
}
