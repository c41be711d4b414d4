import { isSupportedLink, SUPPORTED_LINKS } from './link.ts';
import type { FrameSink } from './pcap-batch.ts';
import { DAMAGED, FRAME_BYTES_MAX, type Framing, u32, WANT_MORE } from './pcap-framing.ts';
import { WAY } from './way.ts';

/*
 * The classic format (draft-ietf-opsawg-pcap):
 *
 *   file    magic 4 · version 2+2 · zone 4 · accuracy 4 · snapshot length 4 · link type 4
 *   record  seconds 4 · fraction 4 · captured length 4 · original length 4 · bytes
 *
 * The magic tells byte order, and whether the fraction is micro- or nanoseconds.
 */
const MAGIC_MICRO = 0xa1b2c3d4;
const MAGIC_NANO = 0xa1b23c4d;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
/** The upper bits of the link field tell about the frame check sequence; the type is in the lower 16. */
const LINK_MASK = 0xffff;
/** libpcap's MAXIMUM_SNAPLEN: files whose header says 0 or less than their records hold are common. */
const SNAPSHOT_BYTES_USUAL = 262_144;

/** What the first four bytes say; undefined where this is no classic capture. */
export interface ClassicMagic {
  readonly bigEndian: boolean;
  readonly unitsPerSecond: number;
}

export function classicMagic(bytes: Uint8Array, at: number): ClassicMagic | undefined {
  for (const bigEndian of [false, true]) {
    const magic = u32(bytes, at, bigEndian);
    if (magic === MAGIC_MICRO) return { bigEndian, unitsPerSecond: 1e6 };
    if (magic === MAGIC_NANO) return { bigEndian, unitsPerSecond: 1e9 };
  }
  return undefined;
}

/** Reads a classic capture from its first byte on. */
export function createClassicFraming(magic: ClassicMagic, sink: FrameSink): Framing {
  const { bigEndian, unitsPerSecond } = magic;
  const fractionToMs = 1000 / unitsPerSecond;
  let link = 0;
  let lengthMax = 0;
  let wanted = FILE_HEADER_BYTES;
  let damage = '';

  const header = (bytes: Uint8Array, at: number, end: number): number => {
    if (end - at < FILE_HEADER_BYTES) return WANT_MORE;
    link = u32(bytes, at + 20, bigEndian) & LINK_MASK;
    lengthMax = Math.min(Math.max(u32(bytes, at + 16, bigEndian), SNAPSHOT_BYTES_USUAL), FRAME_BYTES_MAX);
    if (!isSupportedLink(link)) {
      damage = `its link type, ${link}, can't be read; these can: ${SUPPORTED_LINKS}`;
      return DAMAGED;
    }
    return FILE_HEADER_BYTES;
  };
  const record = (bytes: Uint8Array, at: number, end: number): number => {
    wanted = RECORD_HEADER_BYTES;
    if (end - at < RECORD_HEADER_BYTES) return WANT_MORE;
    const length = u32(bytes, at + 8, bigEndian);
    if (length > lengthMax) {
      damage = `a record says that it holds ${length} bytes; at most ${lengthMax} are possible here`;
      return DAMAGED;
    }
    wanted = RECORD_HEADER_BYTES + length;
    if (end - at < wanted) return WANT_MORE;
    const stamp = u32(bytes, at, bigEndian) * 1000 + u32(bytes, at + 4, bigEndian) * fractionToMs;
    const full = u32(bytes, at + 12, bigEndian);
    sink.frame(link, bytes, at + RECORD_HEADER_BYTES, length, full, stamp, WAY.unknown);
    return wanted;
  };

  let begun = false;
  return {
    step(bytes, at, end) {
      if (begun) return record(bytes, at, end);
      const answer = header(bytes, at, end);
      begun = answer > 0;
      return answer;
    },
    wanted: () => wanted,
    damage: () => damage,
    unknown: () => lengthMax > 0 && !isSupportedLink(link),
  };
}
