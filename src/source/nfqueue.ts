import { NfQueue, type QueueError } from '@nfknock/nfqueue';
import { liveSource } from './live.ts';
import type { OnBatch, Source } from './source.ts';

export interface NfqueueOptions {
  /** Queue number, 0–65535. */
  readonly queue: number;
  /** Packets that may wait in it, as the machine stands. */
  readonly length: () => number;
  /** Bytes copied of each packet; where it is left out: 256, all headers that the decoder reads. */
  readonly copyRange?: number;
  readonly onBatch: OnBatch;
  /** The queue is dead and closed; nothing comes from it any more. */
  readonly onError: (error: QueueError) => void;
}

/**
 * Opens one NFQUEUE. Every packet has the verdict DROP before `onBatch` sees it. Several queues are several
 * sources. Throws QueueError: NOT_PERMITTED, QUEUE_TAKEN, NO_KERNEL_SUPPORT or SOCKET_FAILED.
 */
export function openNfqueue({ length, ...options }: NfqueueOptions): Source {
  let maxLength = length();
  const queue = new NfQueue({ ...options, maxLength });
  return {
    ...liveSource(queue),
    adapt() {
      const wanted = length();
      if (queue.closed || wanted === maxLength) return;
      // What the kernel had no memory for is asked again the next time.
      if (queue.setLength(wanted) === 0) maxLength = wanted;
    },
  };
}

/**
 * Holds a queue to which no rule leads: in this network namespace nobody else can hold it meanwhile. Throws QueueError as
 * `openNfqueue` does.
 */
export function holdNfqueue(queue: number): { close(): void } {
  const ignore = (): void => undefined;
  return new NfQueue({
    queue,
    onBatch: ignore,
    onError: ignore,
    maxLength: 1,
    copyRange: 64,
    receiveBuffer: 65_536,
  });
}
