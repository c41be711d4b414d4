import type { Address } from '../../packet/address.ts';
import { PROTOCOL_NUMBER, type Protocol } from '../../packet/port.ts';
import type { Connection, Entry } from '../connections.ts';
import type { Session } from './adopt-sessions.ts';
import { AF, attributeMap, NFGEN_BYTES, NLM_F, writeMessage } from './attributes.ts';

/** NFNL_SUBSYS_CTNETLINK of linux/netfilter/nfnetlink.h, as the upper byte of a message's type. */
const SUBSYSTEM: number = 1 << 8;
/** enum cntl_msg_types of linux/netfilter/nfnetlink_conntrack.h. */
const CT_MESSAGE = { new: 0, get: 1, delete: 2 } as const;
/** enum ctattr_type, ctattr_tuple, ctattr_ip, ctattr_l4proto and ctattr_protoinfo(_tcp) of the same header. */
const CTA = {
  original: 1,
  reply: 2,
  status: 3,
  protocolInfo: 4,
  timeout: 7,
  id: 12,
  zone: 18,
  filter: 25,
} as const;
const TUPLE = { ip: 1, protocol: 2 } as const;
const IP = { source4: 1, destination4: 2, source6: 3, destination6: 4 } as const;
const PROTOCOL = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const INFO = { tcp: 1 } as const;
const TCP_INFO = { state: 1, flagsOfSource: 4, flagsOfHost: 5 } as const;
const FILTER = { original: 1 } as const;
/** CTA_FILTER_F_CTA_IP_SRC of the kernel's nf_conntrack_netlink.c: the first bit. */
const BY_SOURCE = 1;
const NESTED = 0x8000;
/** IPS_ASSURED of linux/netfilter/nf_conntrack_common.h. */
const ASSURED = 1 << 2;
/** IPS_SEEN_REPLY and IPS_CONFIRMED of the same header. */
const SEEN_REPLY = 1 << 1;
const CONFIRMED = 1 << 3;
/** IP_CT_TCP_FLAG_SACK_PERM and _BE_LIBERAL of nf_conntrack_tcp.h: as of a connection whose beginning was not seen. */
const UNSEEN_BEGINNING: number = 0x02 | 0x08;
/** Those and _WINDOW_SCALE, which is known of nobody whose beginning was not seen. */
const OF_BEGINNING: number = UNSEEN_BEGINNING | 0x01;
/** Seconds: nf_conntrack_tcp_timeout_established. */
const ESTABLISHED_TIMEOUT = 432_000;
/** TCP_CONNTRACK_ESTABLISHED of linux/netfilter/nf_conntrack_tcp.h. */
const ESTABLISHED = 3;

/**
 * Lists the whole table, of both families: of one alone the kernel would walk over the other's entries in one go. Or
 * what an IPv4 source has in it: a kernel before 5.8 does not know of that filter and lists everything.
 */
export function listMessage(source?: Address): Buffer {
  const message = writeMessage({
    type: SUBSYSTEM | CT_MESSAGE.get,
    flags: NLM_F.request | NLM_F.dump,
    family: AF[source?.family ?? 'any'],
  });
  if (source !== undefined) {
    message.begin(CTA.original);
    message.begin(TUPLE.ip);
    message.bytes(IP.source4, bytesOf(source));
    message.end();
    message.end();
    message.begin(CTA.filter);
    // Flags are in the machine's order, unlike most of netfilter's numbers.
    const flags = Buffer.alloc(4);
    flags.writeUInt32LE(BY_SOURCE, 0);
    message.bytes(FILTER.original, flags);
    message.end();
  }
  return message.finish();
}

/** The id makes sure that a new connection that took the tuple meanwhile is left alone. */
export function deleteMessage({ source, tuple, id, zone }: Entry): Buffer {
  const { family } = source;
  const head = { type: SUBSYSTEM | CT_MESSAGE.delete, flags: NLM_F.request | NLM_F.ack, family: AF[family] };
  const message = writeMessage(head, 256);
  message.bytes(CTA.original | NESTED, tuple);
  if (zone !== undefined) message.bytes(CTA.zone, zone);
  if (id !== undefined) message.bytes(CTA.id, id);
  return message.finish();
}

/** Has the kernel track a TCP connection that is open; it answers EEXIST where it does already. */
export function createEstablishedMessage({ source, sourcePort, host, port }: Session): Buffer {
  const flags = NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.excl;
  const head = { type: SUBSYSTEM | CT_MESSAGE.new, flags, family: AF[source.family] };
  const message = writeMessage(head, 256);
  const end = (type: number, [from, fromPort]: [Address, number], [to, toPort]: [Address, number]): void => {
    const four = from.family === 4;
    message.begin(type);
    message.begin(TUPLE.ip);
    message.bytes(four ? IP.source4 : IP.source6, bytesOf(from));
    message.bytes(four ? IP.destination4 : IP.destination6, bytesOf(to));
    message.end();
    message.begin(TUPLE.protocol);
    message.u8(PROTOCOL.number, PROTOCOL_NUMBER.tcp);
    message.bytes(PROTOCOL.sourcePort, portBytes(fromPort));
    message.bytes(PROTOCOL.destinationPort, portBytes(toPort));
    message.end();
    message.end();
  };
  end(CTA.original, [source, sourcePort], [host, port]);
  end(CTA.reply, [host, port], [source, sourcePort]);
  message.u32(CTA.status, SEEN_REPLY | ASSURED | CONFIRMED);
  message.u32(CTA.timeout, ESTABLISHED_TIMEOUT);
  message.begin(CTA.protocolInfo);
  message.begin(INFO.tcp);
  message.u8(TCP_INFO.state, ESTABLISHED);
  // Both the flags and which of them are meant.
  const unseen = Buffer.from([UNSEEN_BEGINNING, UNSEEN_BEGINNING]);
  message.bytes(TCP_INFO.flagsOfSource, unseen);
  message.bytes(TCP_INFO.flagsOfHost, unseen);
  message.end();
  message.end();
  return message.finish();
}

function portBytes(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(port);
  return bytes;
}

/** True for the event of a new connection or of one that changed; `type` is the message's. */
export function isUpdate(type: number): boolean {
  return type === (SUBSYSTEM | CT_MESSAGE.new);
}

/**
 * Who began an entry of the table, read without making anything but the answer: a list of a quarter of a million has
 * to pass. Undefined where there is no source.
 */
export function sourceOfEntry(payload: Buffer): Address | undefined {
  const tuple = find(payload, NFGEN_BYTES, payload.length, CTA.original);
  if (tuple < 0) return undefined;
  const ip = find(payload, tuple + HEADER, endOf(payload, tuple), TUPLE.ip);
  if (ip < 0) return undefined;
  const end = endOf(payload, ip);
  const four = find(payload, ip + HEADER, end, IP.source4);
  if (four >= 0) return four + HEADER + 4 <= end ? address4(payload, four + HEADER) : undefined;
  const six = find(payload, ip + HEADER, end, IP.source6);
  return six >= 0 && six + HEADER + 16 <= end ? address6(payload, six + HEADER) : undefined;
}

/** Reads who connects to what; undefined where it is neither TCP nor UDP. Who answers is what is reached. */
export function readConnection(payload: Buffer): Connection | undefined {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const [original, reply] = [top.get(CTA.original), top.get(CTA.reply)];
  if (original === undefined || reply === undefined) return undefined;
  const [source, host] = [sourceOf(original), sourceOf(reply)];
  const [begins, answers] = [portOf(original), portOf(reply)];
  if (source === undefined || host === undefined || begins === undefined || answers === undefined)
    return undefined;
  const status = top.get(CTA.status);
  const entry = {
    source,
    tuple: Buffer.from(original),
    id: copied(top.get(CTA.id)),
    zone: copied(top.get(CTA.zone)),
  };
  return {
    source,
    sourcePort: begins.port,
    protocol: answers.protocol,
    host,
    port: answers.port,
    assured: status !== undefined && status.length >= 4 && (status.readUInt32BE(0) & ASSURED) !== 0,
    ...(answers.protocol === 'udp' ? UDP : tcpOf(top.get(CTA.protocolInfo))),
    entry,
  };
}

function portOf(tuple: Buffer): { readonly protocol: Protocol; readonly port: number } | undefined {
  const transport = attributeMap(attributeMap(tuple).get(TUPLE.protocol) ?? NOTHING);
  const number = transport.get(PROTOCOL.number)?.[0];
  const port = transport.get(PROTOCOL.sourcePort);
  if (port === undefined || port.length < 2) return undefined;
  if (number === PROTOCOL_NUMBER.tcp) return { protocol: 'tcp', port: port.readUInt16BE(0) };
  return number === PROTOCOL_NUMBER.udp ? { protocol: 'udp', port: port.readUInt16BE(0) } : undefined;
}

type Course = Pick<Connection, 'established' | 'beginning'>;

const UDP: Course = { established: true, beginning: 'seen' };

function tcpOf(info: Buffer | undefined): Course {
  const tcp = attributeMap(attributeMap(info ?? NOTHING).get(INFO.tcp) ?? NOTHING);
  const isUnseen = (side: number): boolean => ((tcp.get(side)?.[0] ?? 0) & OF_BEGINNING) === UNSEEN_BEGINNING;
  return {
    established: tcp.get(TCP_INFO.state)?.[0] === ESTABLISHED,
    beginning: isUnseen(TCP_INFO.flagsOfSource) && isUnseen(TCP_INFO.flagsOfHost) ? 'unseen' : 'seen',
  };
}

function sourceOf(tuple: Buffer): Address | undefined {
  const ip = attributeMap(attributeMap(tuple).get(TUPLE.ip) ?? NOTHING);
  const four = ip.get(IP.source4);
  if (four !== undefined && four.length >= 4) return address4(four, 0);
  const six = ip.get(IP.source6);
  return six === undefined || six.length < 16 ? undefined : address6(six, 0);
}

const NOTHING: Buffer = Buffer.alloc(0);

function copied(bytes: Buffer | undefined): Buffer | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes);
}

function address4(bytes: Buffer, at: number): Address {
  return { family: 4, a: bytes.readInt32BE(at), b: 0, c: 0, d: 0 };
}

function address6(bytes: Buffer, at: number): Address {
  const word = (index: number): number => bytes.readInt32BE(at + 4 * index);
  return { family: 6, a: word(0), b: word(1), c: word(2), d: word(3) };
}

/** In network order. */
export function bytesOf({ family, a, b, c, d }: Address): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 4 : 16);
  let at = 0;
  for (const word of family === 4 ? [a] : [a, b, c, d]) at = bytes.writeInt32BE(word, at);
  return bytes;
}

const HEADER = 4;
const TYPE_MASK = 0x3fff;

/** Where an attribute of this type begins between `at` and `end`, or −1. One whose length lies ends the walk. */
function find(bytes: Buffer, at: number, end: number, type: number): number {
  let here = at;
  while (here + HEADER <= end) {
    const length = bytes.readUInt16LE(here);
    if (length < HEADER || here + length > end) return -1;
    if ((bytes.readUInt16LE(here + 2) & TYPE_MASK) === type) return here;
    here += (length + 3) & ~3;
  }
  return -1;
}

function endOf(bytes: Buffer, at: number): number {
  return at + bytes.readUInt16LE(at);
}
