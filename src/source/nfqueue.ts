import { NfQueue, type QueueError } from '@nfknock/nfqueue';
import { liveSource } from './live.ts';
import type { OnBatch, Source } from './source.ts';

export interface NfqueueOptions {
  /** Queue number, 0–65535. */
  readonly queue: number;
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
