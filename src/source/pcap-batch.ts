import { frameName } from './frame-name.ts';
import { ipHeaderAt, isSupportedLink, NOT_IP, wayOf } from './link.ts';
import { FRAME_BYTES_MAX } from './pcap-framing.ts';
import type { Batch } from './source.ts';
import { WAY } from './way.ts';

/** Packets of one batch; one working buffer of a capture holds several. */
export const BATCH_PACKETS_MAX = 512;
/** Kinds of frames that are counted one by one; a file with more is one nobody made on purpose. */
const KINDS_MAX = 64;

/** A batch from a capture, which may also tell which way each packet went. */
export interface CaptureBatch extends Batch {
  /** Bytes that packet `i` had on the wire, its link layer's padding included; more than `lengths[i]` where it was cut off. */
  readonly fullLengths: Int32Array;
  /** One of WAY for each packet. */
  readonly ways: Uint8Array;
}

/** Takes the first `count` packets of the batch. */
export type OnCaptureBatch = (batch: CaptureBatch, count: number) => void;

/** What the frames of a capture were, so far. */
export interface FrameCounts {
  /** Frames read, of whatever kind. */
  frames: number;
  /** Frames that hold an IP packet and were handed on. */
  packets: number;
  /** Frames of each link type that can't be read. */
  readonly unsupported: Map<number, number>;
  /** Frames that hold no IP packet, by what they are. */
  readonly others: Map<string, number>;
}

/** Where a format's reader puts the frames it finds. */
export interface FrameSink {
  /**
   * A frame of `length` captured bytes at `at`, of `full` on the wire. `stamp` is in milliseconds since 1970, 0
   * without one; `way` is one of WAY, as far as the format knows it.
   */
  frame(
    link: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    full: number,
    stamp: number,
    way: number,
  ): void;
}

export interface FrameBatcher extends FrameSink {
  readonly counts: FrameCounts;
  /** Hands on what has gathered. To be called before the bytes given to `frame` are moved or reused. */
  flush(): void;
}

export function createFrameBatcher(onBatch: OnCaptureBatch): FrameBatcher {
  const counts: FrameCounts = { frames: 0, packets: 0, unsupported: new Map(), others: new Map() };
  const batch = {
    bytes: new Uint8Array(0) as Uint8Array,
    offsets: new Int32Array(BATCH_PACKETS_MAX),
    lengths: new Int32Array(BATCH_PACKETS_MAX),
    fullLengths: new Int32Array(BATCH_PACKETS_MAX),
    stamps: new Float64Array(BATCH_PACKETS_MAX),
    ways: new Uint8Array(BATCH_PACKETS_MAX),
  };
  let count = 0;

  const flush = (): void => {
    if (count === 0) return;
    const taken = count;
    count = 0;
    counts.packets += taken;
    onBatch(batch, taken);
  };
  return {
    counts,
    flush,
    frame(link, bytes, at, length, full, stamp, way) {
      counts.frames++;
      const header = ipHeaderAt(link, bytes, at, length);
      if (header === NOT_IP) {
        if (isSupportedLink(link)) countUp(counts.others, frameName(link, bytes, at, length));
        else countUp(counts.unsupported, link);
        return;
      }
      batch.bytes = bytes;
      batch.offsets[count] = at + header;
      batch.lengths[count] = length - header;
      batch.fullLengths[count] = Math.min(Math.max(full, length), FRAME_BYTES_MAX) - header;
      batch.stamps[count] = stamp;
      batch.ways[count] = way === WAY.unknown ? wayOf(link, bytes, at, length) : way;
      count++;
      if (count === BATCH_PACKETS_MAX) flush();
    },
  };
}

function countUp<Key>(counts: Map<Key, number>, key: Key): void {
  if (counts.size < KINDS_MAX || counts.has(key)) counts.set(key, (counts.get(key) ?? 0) + 1);
}
