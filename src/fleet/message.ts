import type { Address } from '../packet/address.ts';
import {
  ADDRESS_BYTES,
  createReader,
  createWriter,
  familyOf,
  type Reader,
  Unreadable,
  type Writer,
} from './bytes.ts';
import {
  BAN_BYTES,
  DIGEST_BYTES,
  GRANT_BYTES,
  PACKET_BYTES,
  readBan,
  readGrant,
  readPacket,
  readUsed,
  type ToldPacket,
  type UsedLine,
  writeBan,
  writeGrant,
  writePacket,
  writeUsed,
} from './records.ts';
import type { AmnestyRegister, BanRegister, GrantRegister } from './register.ts';

/*
 * Messages of version 1, little-endian: a head, then records of one kind. docs/fleet-protocol.md shows them byte by byte;
 * test/unit/fleet/message.test.ts holds them against test/fixtures/fleet/messages.txt.
 */
const VERSION = 1;
const HEAD_BYTES = 18;
/** Records of one message: a receiver handles them in one go. */
export const RECORDS_MAX = 256;
const NUMBER_MAX = 2 ** 48 - 1;

export type Records =
  | { readonly kind: 'ban'; readonly records: readonly BanRegister[] }
  | { readonly kind: 'grant'; readonly records: readonly GrantRegister[] }
  | { readonly kind: 'amnesty'; readonly records: readonly AmnestyRegister[] }
  | { readonly kind: 'used'; readonly records: readonly UsedLine[] }
  | { readonly kind: 'knock' | 'decoy' | 'struck'; readonly records: readonly ToldPacket[] }
  | { readonly kind: 'placed' | 'known'; readonly records: readonly number[] }
  | { readonly kind: 'first'; readonly records: readonly Address[] };

export type Message = Records & {
  /** 0: not kept, and never repeated. */
  readonly number: number;
  /** When it was made, on the bus's clock. */
  readonly time: number;
};

export type MessageKind = Message['kind'];
const KINDS: readonly MessageKind[] = [
  'ban',
  'grant',
  'amnesty',
  'used',
  'knock',
  'decoy',
  'struck',
  'placed',
  'first',
  'known',
];

export function encode(message: Message): Uint8Array {
  const { kind, number, time } = message;
  const writer = createWriter(HEAD_BYTES + lengthOf(message));
  writer.u8(VERSION);
  writer.u8(KINDS.indexOf(kind) + 1);
  writer.u16(message.records.length);
  writer.u48(number);
  writer.f64(time);
  writeRecords(writer, message);
  return writer.bytes;
}

function lengthOf({ kind, records }: Records): number {
  switch (kind) {
    case 'ban':
      return BAN_BYTES * records.length;
    case 'grant':
      return records.reduce((sum, { door }) => sum + GRANT_BYTES + door.length, 0);
    case 'amnesty':
      return 8 * records.length;
    case 'used':
      return records.reduce((sum, { door }) => sum + 1 + door.length + DIGEST_BYTES, 0);
    case 'knock':
    case 'decoy':
    case 'struck':
      return PACKET_BYTES * records.length;
    case 'placed':
    case 'known':
      return 4 * records.length;
    case 'first':
      return (1 + ADDRESS_BYTES) * records.length;
    default:
      return kind satisfies never;
  }
}

function writeRecords(writer: Writer, { kind, records }: Records): void {
  switch (kind) {
    case 'ban':
      for (const ban of records) writeBan(writer, ban);
      return;
    case 'grant':
      for (const grant of records) writeGrant(writer, grant);
      return;
    case 'amnesty':
      for (const { gen } of records) writer.f64(gen);
      return;
    case 'used':
      for (const used of records) writeUsed(writer, used);
      return;
    case 'knock':
    case 'decoy':
    case 'struck':
      for (const packet of records) writePacket(writer, packet);
      return;
    case 'placed':
    case 'known':
      for (const id of records) writer.u32(id);
      return;
    case 'first':
      for (const source of records) {
        writer.u8(source.family);
        writer.address(source);
      }
      return;
    default:
      kind satisfies never;
  }
}

/** The message, or why it is none. Whatever the bytes are, nothing is thrown. */
export function decode(bytes: Uint8Array): Message | Unreadable {
  try {
    return read(createReader(bytes));
  } catch (error) {
    if (error instanceof Unreadable) return error;
    throw error;
  }
}

/** How many records a message says it has, of one that nobody looks at. */
export function recordsSaid(bytes: Uint8Array): number {
  const [, , low = 0, high = 0] = bytes;
  return Math.min(RECORDS_MAX, Math.max(1, low + 256 * high));
}

function read(reader: Reader): Message {
  if (reader.u8() !== VERSION) throw new Unreadable('version');
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw new Unreadable('version');
  const count = reader.u16();
  if (count === 0 || count > RECORDS_MAX) throw new Unreadable('length');
  const number = reader.u48();
  const time = reader.moment();
  const all = <T>(one: (from: Reader) => T): readonly T[] => Array.from({ length: count }, () => one(reader));
  const message = { number: Math.min(number, NUMBER_MAX), time, ...readRecords(kind, all, reader) };
  reader.end();
  return message;
}

function readRecords(
  kind: MessageKind,
  all: <T>(one: (from: Reader) => T) => readonly T[],
  reader: Reader,
): Records {
  switch (kind) {
    case 'ban':
      return { kind, records: all(readBan) };
    case 'grant':
      return { kind, records: all(readGrant) };
    case 'amnesty':
      return { kind, records: all(() => ({ kind, gen: reader.moment() })) };
    case 'used':
      return { kind, records: all(readUsed) };
    case 'knock':
    case 'decoy':
    case 'struck':
      return { kind, records: all(readPacket) };
    case 'placed':
    case 'known':
      return { kind, records: all(() => reader.u32()) };
    case 'first':
      return { kind, records: all(() => reader.address(familyOf(reader.u8()))) };
    default:
      return kind satisfies never;
  }
}
