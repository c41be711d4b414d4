import { createLedger, SWEEP_STEP } from './ledger.ts';
import type { Keep, StateChange, Store } from './store.ts';

/** A store without a file: what it holds dies with the process. For replays and tests. */
export function openMemoryStore(keep: Keep, now: number): Store {
  const ledger = createLedger(keep);
  let told = now;

  function write(changes: readonly StateChange[], moment = told): void {
    told = moment;
    ledger.apply(changes, moment);
    if (changes.length === 0) ledger.sweep(moment, SWEEP_STEP);
  }

  return {
    ended: ledger.ended,
    isLifted: ledger.isLifted,
    load(moment, spared) {
      told = moment;
      // The first ends a round that was in progress, the second is a whole one.
      ledger.sweep(moment, Number.POSITIVE_INFINITY, spared);
      ledger.sweep(moment, Number.POSITIVE_INFINITY, spared);
      return ledger.current(moment, spared);
    },
    write,
    async writeThrough(changes, moment = told) {
      write(changes, moment);
    },
    uses: () => ledger.uses.all(),
    onLateUses() {},
    fleet: () => ledger.fleet.all(),
    seen: () => 0,
    isOf: () => true,
    belongsTo() {},
    health: () => ({ ok: true, reason: null }),
    close() {},
  };
}
