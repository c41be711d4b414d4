import { NfQueue, type QueueError } from '@nfknock/nfqueue';
import { liveSource } from './live.ts';
import type { OnBatch, Source } from './source.ts';

export interface NfqueueOptions {
  /** Queue number, 0–65535. */
  readonly queue: number;
  /** Packets that may wait in it. */
  readonly maxLength: number;
  readonly onBatch: OnBatch;
  /** The queue is dead and closed; nothing comes from it any more. */
  readonly onError: (error: QueueError) => void;
}

/**
 * Opens one NFQUEUE. Every packet has the verdict DROP before `onBatch` sees it. Several queues are several
 * sources. Throws QueueError: NOT_PERMITTED, QUEUE_TAKEN, NO_KERNEL_SUPPORT or SOCKET_FAILED.
 */
export function openNfqueue(options: NfqueueOptions): Source {
  return liveSource(new NfQueue(options));
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
