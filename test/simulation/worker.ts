import { parentPort } from 'node:worker_threads';
import { runHistory, type Verdict } from './history.ts';

/** What came of a piece of the seeds. */
export interface Tried {
  readonly tried: number;
  readonly opened: number;
  readonly failed: readonly Verdict[];
}

parentPort?.on('message', ({ from, count }: { readonly from: number; readonly count: number }) => {
  let opened = 0;
  const failed: Verdict[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    const verdict = runHistory(seed);
    opened += verdict.opened;
    if (verdict.violations.length > 0) failed.push(verdict);
  }
  parentPort?.postMessage({ tried: count, opened, failed } satisfies Tried);
});
