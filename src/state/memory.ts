import { createLedger } from './ledger.ts';
import type { Keep, Store } from './store.ts';

/** Ended grants and histories are looked for this often, in milliseconds: they do no harm until then. */
const PRUNE_EVERY = 60_000;

/** A store without a file: what it holds dies with the process. For replays and tests. */
export function openMemoryStore(keep: Keep, now: number): Store {
  const ledger = createLedger(keep);
  let told = now;
  let pruned = now;

  return {
    load(moment) {
      told = moment;
      ledger.prune(moment);
      return ledger.current(moment);
    },
    write(changes, moment = told) {
      told = moment;
      for (const change of changes) ledger.apply(change, moment);
      if (Math.abs(moment - pruned) < PRUNE_EVERY) return;
      pruned = moment;
      ledger.prune(moment);
    },
    health: () => ({ ok: true, reason: null }),
    close() {},
  };
}
