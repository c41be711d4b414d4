import { messageOf } from '../text/error.ts';
import { type FileOptions, faultOf, type Mirror, openFile, type StateFile, setAside } from './file.ts';
import { stateFault } from './file-fault.ts';
import type { Ledger } from './ledger.ts';
import type { Offender } from './offenders.ts';
import type { Surviving } from './store.ts';

/** The log is carried over into the file this often, in milliseconds, so that it does not grow. */
const CARRY_EVERY = 10_000;
/** A store that can't write tries again after so long, then after twice that …, in milliseconds. */
const RETRY_FIRST = 1000;
const RETRY_MAX = 60_000;
/** How long a start waits for a daemon that is just ending, in milliseconds. Later nothing may stand still. */
const LOCK_WAIT = 2000;

/** The connection to the file: up, or down for a reason and trying again. */
export interface Link {
  open(now: number): string | null;
  write(mirror: Mirror, now: number, surviving: Surviving): void;
  writeThrough(mirror: Mirror, now: number): Promise<void>;
  tend(now: number): void;
  seen(): number;
  mark(): number;
  setMark(mark: number): void;
  locked(): boolean;
  reason(): string | null;
  close(): void;
}

/** `pagesMax`: the file grows to this many pages of 4 KiB at most; undefined: as far as the disk. */
export function createLink(path: string, pagesMax: number | undefined, ledger: Ledger): Link {
  let file: StateFile | null = null;
  let reason: string | null = null;
  let locked = false;
  let read = false;
  let seen = 0;
  let mark = 0;
  /** It is known that the clock is that of what the file holds. */
  let marked = false;
  let delay = RETRY_FIRST;
  let tried = 0;
  let carried = 0;
  let uncarried = false;
  /** Written since the log was last synced; and whether that is in progress. */
  let unsynced = false;
  let syncing = false;

  /**
   * When the file is said to be written. By a clock that is behind since the machine was started that would be before
   * what it holds, and the next start would take that for damage: until the clock is known it is no earlier than before.
   */
  function stamp(now: number): number {
    return marked ? now : Math.max(now, seen);
  }

  function down(why: string, now: number): void {
    reason = why;
    tried = now;
    try {
      file?.close();
    } catch {
      // What it could not carry over is in its log beside it, and in memory.
    }
    file = null;
  }

  /** Brings the link up with everything that memory holds, or says why not. Returns what was set aside. */
  function open(now: number): string | null {
    let notice: string | null = null;
    try {
      [file, notice] = openOrSetAside(path, ledger, fileOptions(pagesMax, tried === 0), now);
      if (read) file.replace(allOf(ledger), stamp(now));
      else notice = absorb(file, now) ?? notice;
      read = true;
      reason = null;
      locked = false;
      delay = RETRY_FIRST;
      [unsynced, uncarried] = [true, true];
      if (mark !== 0) file.mark(mark);
    } catch (error) {
      locked = faultOf(error) === 'locked';
      down(stateFault(path, error), now);
      notice = notice === null ? reason : `${notice}; ${reason}`;
    }
    return notice;
  }

  /** What an earlier process left. Where memory holds something already (the file came late), both are kept. */
  function absorb(from: StateFile, now: number): string | null {
    const { offenders } = ledger;
    const mine: Offender[] = [];
    offenders.each((slot) => mine.push(offenders.at(slot)));
    const rows = from.read(now);
    offenders.reserve(mine.length);
    for (const offender of mine) offenders.put(offender);
    ledger.absorb(rows.grants);
    ledger.uses.absorb(rows.uses);
    ledger.fleet.absorb(rows.fleet);
    seen = rows.seen;
    if (mark === 0) mark = rows.mark;
    if (tried > 0 || rows.renumbered) from.replace(allOf(ledger), stamp(now));
    return rows.unreadable === 0 ? null : `${rows.unreadable} entries of ${path} were unreadable; skipped`;
  }

  /** Beside the thread: a disk that takes its time must not hold up the knocks. */
  function flush(of: StateFile, now: number): void {
    unsynced = false;
    syncing = true;
    of.flush((error) => {
      syncing = false;
      if (error !== null && file === of) down(stateFault(path, error), now);
    });
  }

  function failed(error: unknown, now: number): void {
    const why = stateFault(path, error);
    down(why, now);
    if (faultOf(error) === 'damaged') reason = asideAfter(path, why, now);
  }

  return {
    open,
    write(mirror, now, surviving) {
      if (file === null) return;
      try {
        if (surviving === 'machine') file.writeThrough(mirror, stamp(now));
        else file.write(mirror, stamp(now));
        unsynced ||= surviving === 'process';
        uncarried = true;
      } catch (error) {
        failed(error, now);
      }
    },
    async writeThrough(mirror, now) {
      const of = file;
      if (of === null) return;
      try {
        const onDisk = of.writeBeside(mirror, stamp(now));
        uncarried = true;
        await onDisk;
      } catch (error) {
        if (file === of) failed(error, now);
      }
    },
    tend(now) {
      if (file === null) {
        if (now >= tried && now - tried < delay) return;
        delay = Math.min(delay * 2, RETRY_MAX);
        open(now);
      } else if (!file.inPlace()) {
        down(`${path} was moved or deleted while nfknock ran; what it held is written anew`, now);
      } else if (uncarried && Math.abs(now - carried) >= CARRY_EVERY) {
        carried = now;
        [unsynced, uncarried] = [false, false];
        try {
          file.sync();
        } catch (error) {
          down(stateFault(path, error), now);
        }
      } else if (unsynced && !syncing) flush(file, now);
    },
    seen: () => seen,
    mark: () => mark,
    setMark(to) {
      [mark, marked] = [to, true];
      try {
        file?.mark(to);
      } catch (error) {
        down(stateFault(path, error), tried);
      }
    },
    locked: () => locked,
    reason: () => reason,
    close() {
      // The last chance of what only memory holds, whenever the next try would have been.
      if (file === null && read) open(tried);
      down('the state file is closed', tried);
    },
  };
}

function fileOptions(pagesMax: number | undefined, isFirst: boolean): FileOptions {
  const wait = isFirst ? LOCK_WAIT : 0;
  return pagesMax === undefined ? { wait } : { wait, pagesMax };
}

function openOrSetAside(
  path: string,
  ledger: Ledger,
  options: FileOptions,
  now: number,
): [StateFile, string | null] {
  try {
    return [openFile(path, ledger, options), null];
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== 'damaged' && fault !== 'newer') throw error;
    const aside = setAside(path, fault, now);
    const text = messageOf(error);
    return [openFile(path, ledger, options), `${text}: set aside as ${aside}, and a new one was started`];
  }
}

function asideAfter(path: string, why: string, now: number): string {
  try {
    return `${why}; set aside as ${setAside(path, 'damaged', now)}`;
  } catch (error) {
    return `${why}; it could not be set aside (${String(error)})`;
  }
}

function allOf({ grants, uses, fleet }: Ledger): Omit<Mirror, 'offenders'> {
  return { grants, uses: uses.changes(), fleet: fleet.changes() };
}
