/**
 * A batch of packets as a source hands it over. Everything in it is borrowed for the length of one call: the
 * source reuses the memory for the next batch.
 */
export interface Batch {
  /** The memory that holds every packet of the batch. */
  readonly bytes: Uint8Array;
  /** Where packet `i`'s IP header begins in `bytes`. */
  readonly offsets: Int32Array;
  /** How many bytes of packet `i` were captured. */
  readonly lengths: Int32Array;
  /**
   * Packet `i`'s moment in milliseconds since 1970 with a microsecond's fraction, as the kernel stamped it;
   * 0 where it has no stamp.
   */
  readonly stamps: Float64Array;
}

/** Takes the first `count` packets of the source's batch. */
export type OnBatch = (batch: Batch, count: number) => void;

/** How a source stands, for `status` and metrics. Counts are since it was opened. */
export interface SourceHealth {
  readonly packets: number;
  readonly batches: number;
  /** Packets waiting for a verdict now. */
  readonly depth: number;
  /** Packets that the kernel dropped since its queue was full. */
  readonly kernelDropped: number;
  /** Packets that the kernel dropped since they could not be sent to us. */
  readonly userDropped: number;
  /** Messages that were cut short or lied about their lengths. */
  readonly errors: number;
  /** Times the socket's buffer ran over. */
  readonly overruns: number;
  /** False where the kernel's own table may not be read: `depth` and `kernelDropped` are unknown, and 0 here. */
  readonly complete: boolean;
}

/** Anything that packets come from: the queue, the log group, a capture. */
export interface Source {
  health(): SourceHealth;
  /** Takes up limits of the machine that have changed since it was opened. */
  adapt?(): void;
  /** Idempotent; no batch arrives after it returns. */
  close(): void;
  [Symbol.dispose](): void;
}
