import type { Address, Family } from '../../packet/address.ts';
import { PROTOCOL_NUMBER, type Protocol } from '../../packet/port.ts';
import { AF, attributeMap, NFGEN_BYTES, NLM_F, writeMessage } from './attributes.ts';

/** NFNL_SUBSYS_CTNETLINK of linux/netfilter/nfnetlink.h, as the upper byte of a message's type. */
const SUBSYSTEM: number = 1 << 8;
/** enum cntl_msg_types of linux/netfilter/nfnetlink_conntrack.h. */
const CT_MESSAGE = { new: 0, get: 1, delete: 2 } as const;
/** enum ctattr_type, ctattr_tuple, ctattr_ip and ctattr_l4proto of the same header. */
const CTA = { original: 1, reply: 2, id: 12 } as const;
const TUPLE = { ip: 1, protocol: 2 } as const;
const IP = { source4: 1, source6: 3 } as const;
const PROTOCOL = { number: 1, sourcePort: 2 } as const;

/** A connection: who began it, and what it reaches once every translation is done. */
export interface Connection {
  readonly source: Address;
  readonly protocol: Protocol;
  readonly host: Address;
  /** Of that host. */
  readonly port: number;
}

/** An entry of the table, with what is needed to take exactly it out. */
export interface Entry {
  readonly source: Address;
  /** The original tuple and the entry's id, as the kernel wrote them. */
  readonly tuple: Buffer;
  readonly id: Buffer | undefined;
}

export function listMessage(family: Family): Buffer {
  return writeMessage({
    type: SUBSYSTEM | CT_MESSAGE.get,
    flags: NLM_F.request | NLM_F.dump,
    family: AF[family],
  }).finish();
}

/** The id makes sure that a new connection that took the tuple meanwhile is left alone. */
export function deleteMessage(family: Family, entry: Entry): Buffer {
  const head = { type: SUBSYSTEM | CT_MESSAGE.delete, flags: NLM_F.request | NLM_F.ack, family: AF[family] };
  const message = writeMessage(head);
  message.bytes(CTA.original | 0x8000, entry.tuple);
  if (entry.id !== undefined) message.bytes(CTA.id, entry.id);
  return message.finish();
}

/** True for the event of a new connection; `type` is the message's. */
export function isNew(type: number): boolean {
  return type === (SUBSYSTEM | CT_MESSAGE.new);
}

/** True for the event of a connection that ended. */
export function isEnd(type: number): boolean {
  return type === (SUBSYSTEM | CT_MESSAGE.delete);
}

/** Reads an entry of the table, or an event; undefined where it has no source. */
export function readEntry(payload: Buffer): Entry | undefined {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const tuple = top.get(CTA.original);
  const source = tuple === undefined ? undefined : sourceOf(tuple);
  return tuple === undefined || source === undefined ? undefined : { source, tuple, id: top.get(CTA.id) };
}

/** Reads who connects to what; undefined where it is neither TCP nor UDP. Who answers is what is reached. */
export function readConnection(payload: Buffer): Connection | undefined {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const [original, reply] = [top.get(CTA.original), top.get(CTA.reply)];
  if (original === undefined || reply === undefined) return undefined;
  const [source, host] = [sourceOf(original), sourceOf(reply)];
  const transport = attributeMap(attributeMap(reply).get(TUPLE.protocol) ?? Buffer.alloc(0));
  const number = transport.get(PROTOCOL.number)?.[0];
  const port = transport.get(PROTOCOL.sourcePort);
  if (source === undefined || host === undefined || port === undefined || port.length < 2) return undefined;
  const protocol =
    number === PROTOCOL_NUMBER.tcp ? 'tcp' : number === PROTOCOL_NUMBER.udp ? 'udp' : undefined;
  return protocol === undefined ? undefined : { source, protocol, host, port: port.readUInt16BE(0) };
}

function sourceOf(tuple: Buffer): Address | undefined {
  const ip = attributeMap(attributeMap(tuple).get(TUPLE.ip) ?? Buffer.alloc(0));
  const four = ip.get(IP.source4);
  if (four !== undefined && four.length >= 4) return { family: 4, a: four.readInt32BE(0), b: 0, c: 0, d: 0 };
  const six = ip.get(IP.source6);
  if (six === undefined || six.length < 16) return undefined;
  const [a, b, c, d] = [six.readInt32BE(0), six.readInt32BE(4), six.readInt32BE(8), six.readInt32BE(12)];
  return { family: 6, a, b, c, d };
}
