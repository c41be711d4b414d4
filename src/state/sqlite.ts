import { createHash } from 'node:crypto';
import type { Mirror } from './file.ts';
import { createLedger, type Ledger, SWEEP_STEP, type Touched } from './ledger.ts';
import { createLink, type Link } from './link.ts';
import { type Keep, type Spared, StateError, type Store } from './store.ts';

/** The file learns this often what time it is, in milliseconds, though nothing else changes. */
const SEEN_EVERY = 60_000;
/** What tells the boots of the machine apart is a digest of this many bits: SQLite has room for a signed 32-bit number. */
const MARK_MAX = 0x7fff_ffff;

export interface StoreOptions extends Keep {
  /** Wall time, milliseconds since 1970. */
  readonly now: number;
  /** The file grows to this many pages of 4 KiB at most; default: as far as the disk. */
  readonly pagesMax?: number;
}

export interface OpenedStore {
  readonly store: Store;
  /** What an owner should know of how it was opened: a file set aside, or no file at all. */
  readonly notice: string | null;
}

/**
 * Opens the state file, or makes it. A damaged or newer file is set aside; one that can't be written leaves a
 * store that works in memory and tries again. Throws StateError where another process holds the file.
 */
export function openStore(path: string, options: StoreOptions): OpenedStore {
  const ledger = createLedger(options);
  const link = createLink(path, options.pagesMax, ledger);
  const notice = link.open(options.now);
  if (link.locked()) {
    const fix = `another nfknock uses ${path}; stop it, or give this one its own \`state\` file`;
    throw new StateError('open the state file', 'locked', fix);
  }
  return { store: storeOf(ledger, link), notice };
}

function storeOf(ledger: Ledger, link: Link): Store {
  let told = 0;
  let noted = 0;
  let closed = false;

  function sweep(now: number, entriesMax: number, spared?: Spared): void {
    const { grants, offenders } = ledger.sweep(now, entriesMax, spared);
    if (grants.length + offenders === 0 && Math.abs(now - noted) < SEEN_EVERY) return;
    noted = now;
    link.write(
      { grants: grants.map((key) => [key, undefined]), offenders: [], uses: [], fleet: [] },
      now,
      'process',
    );
  }

  /** A clock that was set back (or a board without one) must not bring back what had expired. */
  const moment = (now: number): number => Math.max(now, link.seen());

  return {
    ended: (now, spared) => ledger.ended(moment(now), spared),
    isLifted: ledger.isLifted,
    load(now, spared) {
      told = now;
      // The first ends a round that was in progress, the second is a whole one.
      sweep(moment(now), Number.POSITIVE_INFINITY, spared);
      sweep(moment(now), Number.POSITIVE_INFINITY, spared);
      return ledger.current(moment(now), spared);
    },
    async writeThrough(changes, now = told) {
      told = now;
      const touched = ledger.apply(changes, now);
      if (!closed) await link.writeThrough(mirrorOf(ledger, touched), now);
    },
    write(changes, now = told, surviving = 'process') {
      told = now;
      const touched = ledger.apply(changes, now);
      if (closed) return;
      if (changes.length > 0) {
        link.write(mirrorOf(ledger, touched), now, surviving);
        return;
      }
      link.tend(now);
      sweep(now, SWEEP_STEP);
    },
    uses: () => ledger.uses.all(),
    onLateUses: ledger.uses.onAbsorbed,
    fleet: () => ledger.fleet.all(),
    seen: link.seen,
    isOf: (boot) => boot !== '' && link.mark() === markOf(boot),
    belongsTo: (boot) => link.setMark(markOf(boot)),
    health: () => ({ ok: link.reason() === null, reason: link.reason() }),
    close() {
      if (closed) return;
      closed = true;
      link.close();
    },
  };
}

/** Never 0, which stands for no boot. */
function markOf(boot: string): number {
  return createHash('sha256').update(boot).digest().readUInt32BE(0) & MARK_MAX || 1;
}

function mirrorOf(ledger: Ledger, { grants, ...touched }: Touched): Mirror {
  return { grants: [...grants].map((key) => [key, ledger.grants.get(key)]), ...touched };
}
