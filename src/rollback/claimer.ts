import { readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { claim, type Place, readIfThere, remove } from './place.ts';

/*
 * Who rolls a change back, so that another takes over where that one was killed over it: the timer, whose time comes a
 * moment after `init` has begun to roll back by itself, is the last that anybody shut out can hope for.
 */

/**
 * In the folder of a change that is being rolled back, a link to nowhere, since that takes no room on a full disk: the
 * process, and when it was started.
 */
const BY = 'by';
/** Milliseconds between two looks; how long one that is alive is waited for, and one that has not said who it is. */
const LOOK = 200;
const PATIENCE_BY_HAND = 5_000;
const PATIENCE_UNNAMED = 5_000;
const SOMEBODY = 'a process that has not said which it is';

/** With one that rolls a change back already. */
export interface Patience {
  /** Milliseconds. */
  readonly time: number;
  /** Called once, where it has to be waited for. */
  waits?(who: string, seconds: number): void;
  /** Called where it is not done in that time. */
  carriesOn?(who: string): void;
}

/** Of the timer, for which nobody waits: one that works takes no longer, whatever hangs. */
export const OF_THE_TIMER: Patience = { time: 60_000 };
/** Of the columns of /proc/PID/stat behind the name, which may hold anything: the state, and when it was started. */
const STATE = 0;
const STARTED = 19;

/** Takes the change that waits, to roll it back; false where somebody else has it. */
export function claimChange(place: Place): boolean {
  if (!claim(place.pending, place.undoing)) return false;
  nameClaimer(place);
  return true;
}

/** This process rolls back what is there. What has no room for its name is rolled back all the same. */
export function nameClaimer(place: Place): void {
  const link = join(place.undoing, BY);
  try {
    remove(link);
    symlinkSync(`${process.pid} ${startOf(process.pid)}`, link);
  } catch {
    // Then it is waited for as one that has not said who it is.
  }
}

/** False where another has carried on with what this process had claimed, while it stood still. */
export function isOurs(place: Place): boolean {
  const by = claimerOf(place);
  return by === undefined || by === `${process.pid} ${startOf(process.pid)}`;
}

/**
 * Waits while somebody rolls the change back. `left`: that one has died, or stands still, and it is not done. `isIt` says of
 * the record that is there whether it is that change.
 */
export async function waitForClaimer(
  place: Place,
  isIt: () => boolean,
  { time, waits, carriesOn }: Patience = { time: PATIENCE_BY_HAND },
): Promise<{ readonly left: boolean; readonly who: string }> {
  const since = performance.now();
  let who = SOMEBODY;
  let told = false;
  while (isIt()) {
    const by = claimerOf(place);
    const patience = by === undefined ? Math.min(time, PATIENCE_UNNAMED) : time;
    if (by !== undefined && !isAlive(by)) return { left: true, who };
    if (by !== undefined) who = wordsFor(by);
    const waited = performance.now() - since;
    if (waited >= patience) {
      carriesOn?.(who);
      return { left: true, who };
    }
    if (!told && waited >= LOOK) {
      told = true;
      waits?.(who, Math.ceil((patience - waited) / 1000));
    }
    await setTimeout(LOOK);
  }
  return { left: false, who };
}

/** Who rolls a change back now; undefined: nobody that is alive. */
export function claimerNow(place: Place): string | undefined {
  const by = claimerOf(place);
  return by === undefined || !isAlive(by) ? undefined : wordsFor(by);
}

/** `process 4711 (nfknock rules roll-back)`. */
function wordsFor(by: string): string {
  const [pid = ''] = by.split(' ');
  const [, ...line] = (readIfThere(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1);
  // Options of Node's own come before the program.
  const args = line.slice(line.findIndex((each) => !each.startsWith('-')) + 1);
  const options = args.findIndex((each) => each.startsWith('-'));
  const words = ['nfknock', ...args.slice(0, options < 0 ? args.length : options)].join(' ');
  return `process ${pid} (${args.includes('--change') ? 'the timer of the change' : words})`;
}

function claimerOf({ undoing }: Place): string | undefined {
  try {
    return readlinkSync(join(undoing, BY));
  } catch {
    return undefined;
  }
}

function isAlive(by: string): boolean {
  const [pid = '', start] = by.split(' ');
  return /^\d+$/.test(pid) && startOf(Number(pid)) === start;
}

/** In the kernel's ticks since the boot; empty where there is no such process, or only what its parent has not reaped. */
function startOf(pid: number): string {
  const stat = readIfThere(`/proc/${pid}/stat`) ?? '';
  const columns = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return columns[STATE] === 'Z' ? '' : (columns[STARTED] ?? '');
}
