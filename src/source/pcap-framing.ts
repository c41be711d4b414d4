/**
 * How a capture format is read: frame by frame out of a buffer that holds what has arrived. A format never
 * waits and never allocates by a length that it has read; it says how many bytes it wants, and anyone who holds
 * the buffer adds bytes as they come.
 */
export interface Framing {
  /**
   * Reads the record or block at `at`; bytes before `end` are there. Answers how many bytes it spans, WANT_MORE
   * where it isn't all there (`wanted` says how much it spans), or DAMAGED (`damage` says what is wrong).
   */
  step(bytes: Uint8Array, at: number, end: number): number;
  /** Bytes that the record at the last WANT_MORE spans, as far as known. */
  wanted(): number;
  /** What was found, and what is allowed. */
  damage(): string;
  /** True where nothing is damaged: the capture is of a kind that can't be read. */
  unknown(): boolean;
}

export const WANT_MORE = 0;
export const DAMAGED = -1;

/** Bytes of one record or block: greater ones are damage. libpcap itself allows 256 KiB a packet, 128 MiB on USB. */
export const FRAME_BYTES_MAX = 67_108_864;

export function u16(bytes: Uint8Array, at: number, bigEndian: boolean): number {
  const x = bytes[at] ?? 0;
  const y = bytes[at + 1] ?? 0;
  return bigEndian ? (x << 8) | y : (y << 8) | x;
}

/** An unsigned 32-bit word. */
export function u32(bytes: Uint8Array, at: number, bigEndian: boolean): number {
  const w = bytes[at] ?? 0;
  const x = bytes[at + 1] ?? 0;
  const y = bytes[at + 2] ?? 0;
  const z = bytes[at + 3] ?? 0;
  return (bigEndian ? (w << 24) | (x << 16) | (y << 8) | z : (z << 24) | (y << 16) | (x << 8) | w) >>> 0;
}
