import type { NfQueue } from '@nfknock/nfqueue';
import type { Source, SourceHealth } from './source.ts';

const NOTHING_YET: SourceHealth = {
  packets: 0,
  batches: 0,
  depth: 0,
  kernelDropped: 0,
  userDropped: 0,
  errors: 0,
  overruns: 0,
  complete: true,
};

/** What of an open queue or group a source needs. */
export type LiveHandle = Pick<NfQueue, 'stats' | 'close' | 'closed'>;

/** A source over an open queue or group. Once it is closed, `health` gives the last counts and nothing waiting. */
export function liveSource(handle: LiveHandle): Source {
  let last = NOTHING_YET;
  const health = (): SourceHealth => {
    last = handle.closed ? { ...last, depth: 0 } : handle.stats();
    return last;
  };
  const close = (): void => {
    health();
    handle.close();
  };
  return { health, close, [Symbol.dispose]: close };
}
