import { emptyPacket, type Packet } from '../../src/packet/packet.ts';
import { bitsOf } from './address.ts';

/** A packet that people can read. */
export interface RefPacket {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp';
  readonly sourcePort: number;
  readonly port: number;
  /** Letters out of `FSRPAU`; empty for UDP and for a null scan. */
  readonly flags: string;
  readonly sequence: number;
  readonly stamped: boolean;
  /** What a UDP packet carries, as a number; 0 where nothing is said. */
  readonly body?: number;
}

/** What is captured of the packet: other bytes for all that tells packets apart. */
function bytesOf({ source, destination, sourcePort, port, body }: RefPacket): Uint8Array {
  return new TextEncoder().encode([source, destination, sourcePort, port, body ?? 0].join(' '));
}

/** The six flags by letter, from the lowest bit of RFC 9293's control octet up. */
export const FLAG_LETTERS = 'FSRPAU';

/** The bits of flag letters, for the engine's packets and for a door's rule. */
export function flagBits(letters: string): number {
  return [...letters].reduce((bits, letter) => bits + 2 ** FLAG_LETTERS.indexOf(letter), 0);
}

/** The letters of flag bits. */
export function flagLetters(bits: number): string {
  return [...FLAG_LETTERS].filter((_, index) => Math.floor(bits / 2 ** index) % 2 === 1).join('');
}

/** The same packet as the decoder would have handed it to the engine. */
export function enginePacket(packet: RefPacket): Packet {
  const [source0, source1, source2, source3] = wordsOf(packet.source);
  const [destination0, destination1, destination2, destination3] = wordsOf(packet.destination);
  const bytes = bytesOf(packet);
  return {
    ...emptyPacket(),
    bytes,
    end: bytes.length,
    length: bytes.length,
    family: packet.family,
    protocol: packet.protocol === 'tcp' ? 6 : 17,
    source0,
    source1,
    source2,
    source3,
    destination0,
    destination1,
    destination2,
    destination3,
    sourcePort: packet.sourcePort,
    port: packet.port,
    flags: flagBits(packet.flags),
    sequence: packet.sequence | 0,
    stamped: packet.stamped,
  };
}

/** One line, as histories are shown. */
export function packetText(packet: RefPacket): string {
  const what = packet.protocol === 'tcp' ? `${packet.flags || 'no flags'} seq ${packet.sequence}` : 'udp';
  const stamp = packet.stamped ? '' : ' (no stamp)';
  return `${packet.source}:${packet.sourcePort} > ${packet.destination} ${packet.port}/${packet.protocol} ${what}${stamp}`;
}

function wordsOf(text: string): [number, number, number, number] {
  const digits = bitsOf(text).slice(1).padEnd(128, '0');
  const word = (index: number): number => Number.parseInt(digits.slice(index * 32, index * 32 + 32), 2) | 0;
  return [word(0), word(1), word(2), word(3)];
}
