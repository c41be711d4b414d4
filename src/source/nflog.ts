import { NfLog, type QueueError } from '@nfknock/nfqueue';
import { liveSource } from './live.ts';
import type { OnBatch, Source } from './source.ts';

export interface NflogOptions {
  /** Group number, 0–65535. */
  readonly group: number;
  /** Bytes copied of each packet; where it is left out: 256, all headers that the decoder reads. */
  readonly copyRange?: number;
  readonly onBatch: OnBatch;
  /** The group is dead and closed; nothing comes from it any more. */
  readonly onError: (error: QueueError) => void;
}

/**
 * Opens one NFLOG group. The packets are copies: the rule after NFLOG drops them. How many the kernel gathers
 * follows the load, so the rule must set no `--nflog-threshold`. Throws QueueError: NOT_PERMITTED, QUEUE_TAKEN,
 * NO_KERNEL_SUPPORT or SOCKET_FAILED.
 */
export function openNflog(options: NflogOptions): Source {
  return liveSource(new NfLog(options));
}
