/**
 * Netlink messages as bytes: `struct nlmsghdr` (16 bytes), `struct nfgenmsg` (4), then attributes of
 * `struct nlattr` (length, type) and payload, each padded to 4 bytes (linux/netlink.h, nfnetlink.h). Headers
 * are in the machine's byte order, which is little-endian wherever the socket's binary exists; what an
 * attribute holds is in network order where netfilter says so.
 */

/** Flags of `struct nlmsghdr`. */
export const NLM_F = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  interrupted: 0x10,
  dump: 0x300,
  create: 0x400,
  excl: 0x200,
} as const;
/** Types below 16 are netlink's own. */
export const NLMSG = { error: 2, done: 3 } as const;
export const NLMSG_HEADER_BYTES = 16;
export const NFGEN_BYTES = 4;
/** What precedes the attributes of a netfilter message. */
export const NETFILTER_HEADER_BYTES: number = NLMSG_HEADER_BYTES + NFGEN_BYTES;

const ATTRIBUTE_HEADER_BYTES = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER of linux/netlink.h; what is left is the type. */
const NESTED = 0x8000;
const NET_ORDER = 0x4000;
const TYPE_MASK = 0x3fff;
const START_BYTES = 4096;

/** Families as netlink numbers them; any is AF_UNSPEC. */
export const AF = { any: 0, 4: 2, 6: 10 } as const;

/** A message that is being written. */
export interface MessageWriter {
  u8(type: number, value: number): void;
  /** In network order, and marked so. */
  u32(type: number, value: number): void;
  text(type: number, value: string): void;
  /** An IPv4 or IPv6 address as its 32-bit words. */
  words(type: number, values: readonly number[]): void;
  bytes(type: number, value: Uint8Array): void;
  begin(type: number): void;
  end(): void;
  /** Bytes written so far. */
  length(): number;
  /** The message, with its length set; sequence number and port are the socket's to fill in. */
  finish(): Buffer;
}

export interface MessageHead {
  /** Subsystem of netfilter and its message: `NFNL_SUBSYS_x << 8 | NFNL_MSG_y`. */
  readonly type: number;
  readonly flags: number;
  /** AF_INET, AF_INET6 or 0. */
  readonly family: number;
}

export function writeMessage(head: MessageHead, bytes: number = START_BYTES): MessageWriter {
  let buffer = Buffer.alloc(bytes);
  let at: number = NETFILTER_HEADER_BYTES;
  const open: number[] = [];
  buffer.writeUInt16LE(head.type, 4);
  buffer.writeUInt16LE(head.flags, 6);
  buffer[NLMSG_HEADER_BYTES] = head.family;

  const header = (type: number, payload: number): number => {
    const end = at + ATTRIBUTE_HEADER_BYTES + ((payload + 3) & ~3);
    if (end > buffer.length) buffer = Buffer.concat([buffer, Buffer.alloc(Math.max(buffer.length, end))]);
    buffer.writeUInt16LE(ATTRIBUTE_HEADER_BYTES + payload, at);
    buffer.writeUInt16LE(type, at + 2);
    const start = at + ATTRIBUTE_HEADER_BYTES;
    at = end;
    return start;
  };
  return {
    u8: (type, value) => {
      const start = header(type, 1);
      buffer[start] = value;
    },
    u32: (type, value) => {
      const start = header(type | NET_ORDER, 4);
      buffer.writeUInt32BE(value >>> 0, start);
    },
    text: (type, value) => {
      const bytesOf = Buffer.from(`${value}\0`);
      const start = header(type, bytesOf.length);
      bytesOf.copy(buffer, start);
    },
    words: (type, values) => {
      let start = header(type | NET_ORDER, values.length * 4);
      for (const value of values) start = buffer.writeInt32BE(value, start);
    },
    bytes: (type, value) => {
      const start = header(type, value.length);
      buffer.set(value, start);
    },
    begin: (type) => {
      open.push(at);
      header(type | NESTED, 0);
    },
    end: () => {
      const start = open.pop();
      if (start === undefined) throw new Error('no attribute is open');
      buffer.writeUInt16LE(at - start, start);
    },
    length: () => at,
    finish: () => {
      buffer.writeUInt32LE(at, 0);
      return buffer.subarray(0, at);
    },
  };
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows `struct nlmsghdr`; borrowed from the datagram. */
  readonly payload: Buffer;
}

/** The messages of a datagram; one whose length lies ends the walk. */
export function readMessages(datagram: Buffer): readonly Message[] {
  const messages: Message[] = [];
  let at = 0;
  while (at + NLMSG_HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(at);
    if (length < NLMSG_HEADER_BYTES || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + NLMSG_HEADER_BYTES, at + length),
    });
    at += (length + 3) & ~3;
  }
  return messages;
}

/** Gives each attribute of `bytes` to `visit`; one whose length lies ends the walk. */
export function readAttributes(bytes: Buffer, visit: (type: number, value: Buffer) => void): void {
  let at = 0;
  while (at + ATTRIBUTE_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) return;
    visit(bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += (length + 3) & ~3;
  }
}

/** The attributes by type; of several with one type the last. */
export function attributeMap(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  readAttributes(bytes, (type, value) => found.set(type, value));
  return found;
}
