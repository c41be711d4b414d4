import type { Address, Family } from '../packet/address.ts';
import { type Cidr, HOST_BITS, OFFENDER_BITS } from '../packet/cidr.ts';
import type { Packet } from '../packet/packet.ts';
import { createHasher, type HashKey } from './hash.ts';

/**
 * Whose packet is being judged: the host it came from and the offender that its strikes are counted by (an IPv4 host,
 * an IPv6 /64, or one host of it; see `offender-scope.ts`), each with its hash. One object is reused for every packet.
 */
export interface Subject {
  family: Family;
  a: number;
  b: number;
  c: number;
  d: number;
  /** The offender's last two words: 0 where it is a /64. The first two are the host's. */
  offenderC: number;
  offenderD: number;
  /** The offender's prefix length: 32, 64 or 128. */
  offenderBits: number;
  hostHash: number;
  /** For IPv6 that of the /64, also where the offender is one host of it: its hosts stand together in a table. */
  offenderHash: number;
}

export interface Subjects {
  readonly subject: Subject;
  ofPacket(packet: Packet): void;
  ofAddress(address: Address): void;
  /** The 64-bit fingerprint by which retransmissions are known, in `output`. */
  fingerprint(packet: Packet): void;
  /** The fingerprint by which one packet that is seen twice is known, in `output`: all that was captured of it. */
  fingerprintBytes(packet: Packet): void;
  /** The fingerprint of the subject's host at a port, in `output`. */
  fingerprintTouch(protocol: number, port: number): void;
  readonly output: Int32Array;
}

/** Words of one block of a packet's bytes, those that it is chained by among them; one more ends the last. */
const BLOCK_WORDS = 11;
/** Tells the fingerprint of a touch from all others of as many words. */
const TOUCH = 1 << 24;

export function createSubjects(key: HashKey): Subjects {
  const hasher = createHasher(key);
  const { input, output } = hasher;
  const subject: Subject = {
    family: 4,
    a: 0,
    b: 0,
    c: 0,
    d: 0,
    offenderC: 0,
    offenderD: 0,
    offenderBits: OFFENDER_BITS[4],
    hostHash: 0,
    offenderHash: 0,
  };

  function hash(family: Family, a: number, b: number, c: number, d: number): number {
    input[0] = a;
    if (family === 4) {
      hasher.run(1);
      return output[0] ?? 0;
    }
    input[1] = b;
    input[2] = c;
    input[3] = d;
    hasher.run(4);
    return output[0] ?? 0;
  }

  function load(family: Family, a: number, b: number, c: number, d: number): void {
    subject.family = family;
    subject.a = a;
    subject.b = b;
    subject.c = c;
    subject.d = d;
    countByNetwork(subject);
    subject.hostHash = hash(family, a, b, c, d);
    subject.offenderHash = family === 4 ? subject.hostHash : hash(family, a, b, 0, 0);
  }

  return {
    subject,
    output,
    ofPacket: (packet) => load(packet.family, packet.source0, packet.source1, packet.source2, packet.source3),
    ofAddress: (address) => load(address.family, address.a, address.b, address.c, address.d),
    fingerprint(packet) {
      input[0] = (packet.family << 8) | packet.protocol;
      input[1] = (packet.sourcePort << 16) | packet.port;
      input[2] = packet.sequence;
      input[3] = packet.source0;
      input[4] = packet.destination0;
      if (packet.family === 4) {
        hasher.run(5);
        return;
      }
      input[5] = packet.source1;
      input[6] = packet.source2;
      input[7] = packet.source3;
      input[8] = packet.destination1;
      input[9] = packet.destination2;
      input[10] = packet.destination3;
      hasher.run(11);
    },
    fingerprintBytes({ bytes, start, end, length, family, sourcePort, port }) {
      // The addresses and ports are among the bytes; they are said apart for a packet that comes without any.
      input[0] = length;
      input[1] = (sourcePort << 16) | port;
      let at = start;
      do {
        let words = 2;
        while (at < end && words < BLOCK_WORDS) {
          input[words] = wordAt(bytes, at, end);
          words += 1;
          at += 4;
        }
        if (at >= end) {
          input[words] = (family << 24) ^ subject.hostHash;
          words += 1;
        }
        hasher.run(words);
        // What comes of one block goes into the next.
        input[0] = output[0] ?? 0;
        input[1] = output[1] ?? 0;
      } while (at < end);
    },
    fingerprintTouch(protocol, port) {
      input[0] = TOUCH | (protocol << 16) | port;
      input[1] = subject.a;
      input[2] = subject.b;
      input[3] = subject.c;
      input[4] = subject.d;
      input[5] = subject.family;
      hasher.run(6);
    },
  };
}

/** The subject's host as a value of its own. */
export function hostOf(subject: Subject): Address {
  const { family, a, b, c, d } = subject;
  return { family, a, b, c, d };
}

/** The subject's offender as a value of its own. */
export function targetOf(subject: Subject): Cidr {
  const { family, a, b, offenderC, offenderD, offenderBits } = subject;
  return { address: { family, a, b, c: offenderC, d: offenderD }, bits: offenderBits };
}

/** The offender is the host of IPv4, the /64 of IPv6. */
export function countByNetwork(subject: Subject): void {
  subject.offenderC = 0;
  subject.offenderD = 0;
  subject.offenderBits = OFFENDER_BITS[subject.family];
}

/** The offender is the host, of IPv6 too. */
export function countByHost(subject: Subject): void {
  subject.offenderC = subject.c;
  subject.offenderD = subject.d;
  subject.offenderBits = HOST_BITS[subject.family];
}

/** Four bytes in network order; what lies behind the end is 0. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  const byte = (index: number): number => (index < end ? (bytes[index] ?? 0) : 0);
  return (byte(at) << 24) | (byte(at + 1) << 16) | (byte(at + 2) << 8) | byte(at + 3);
}
