import { type CaptureFault, createCaptureReader } from '../../../src/source/pcap.ts';
import type { CaptureBatch } from '../../../src/source/pcap-batch.ts';

export interface Captured {
  /** Each packet from its IP header on, in hexadecimal. */
  readonly packets: readonly string[];
  readonly stamps: readonly number[];
  readonly ways: readonly number[];
  readonly full: readonly number[];
  readonly fault: CaptureFault | undefined;
  readonly frames: number;
  readonly unsupported: ReadonlyMap<number, number>;
}

/** Reads a whole capture, given in pieces of at most `step` bytes. */
export function readAll(bytes: Uint8Array, step: number = bytes.length): Captured {
  const packets: string[] = [];
  const stamps: number[] = [];
  const ways: number[] = [];
  const full: number[] = [];
  const take = (batch: CaptureBatch, count: number): void => {
    for (let i = 0; i < count; i++) {
      const offset = batch.offsets[i] ?? 0;
      packets.push(
        Buffer.from(batch.bytes.subarray(offset, offset + (batch.lengths[i] ?? 0))).toString('hex'),
      );
      stamps.push(batch.stamps[i] ?? 0);
      ways.push(batch.ways[i] ?? 0);
      full.push(batch.fullLengths[i] ?? 0);
    }
  };
  const reader = createCaptureReader(take);
  for (let at = 0; at < bytes.length; at += step) {
    if (!reader.push(bytes.subarray(at, at + step))) break;
  }
  const fault = reader.end();
  return {
    packets,
    stamps,
    ways,
    full,
    fault,
    frames: reader.counts.frames,
    unsupported: reader.counts.unsupported,
  };
}
