import { existsSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import { ask } from '../../control/client.ts';
import { type Change, pendingChange, undoneChange } from '../../rollback/change.ts';
import { endOf, UNCONFIRMED } from '../../rollback/ended.ts';
import { placeOf, readIfThere } from '../../rollback/place.ts';
import { putBack } from '../../rollback/put-back.ts';
import { unconfirmedOf } from '../../rollback/restore-configuration.ts';
import { armRollback, confirmChange, noticeOf, rollBack, wasUsed } from '../../rollback/rollback.ts';
import { failure } from '../failure.ts';
import { TELLING } from '../patience.ts';
import { stoodDownNow } from '../stood-down.ts';
import type { Installation } from './install.ts';
import { forgetNew, type Journal } from './journal.ts';

const LOOK_EVERY = 500;
const ANSWER_MS_MAX = 2_000;
/** What is put back by hand here is, before the timer would. Milliseconds. */
const BEFORE_THE_TIMER = 2_000;
/** What is confirmed is kept, and what is put back noted, within this. Milliseconds. */
const KEPT_MS_MAX = 5_000;
const LOOK_AT_END_EVERY = 50;

/** The way back of this set-up. */
export interface WayBack {
  readonly change: Change;
  readonly what: Installation;
  /** When its time began, by the clock that nobody sets. */
  readonly begun: number;
}

/** Keeps what is there for the way back, from now on. */
export async function armInit(what: Installation, journal: Journal): Promise<WayBack> {
  const { config, time, made } = what;
  // Before the roll-back is, so that they go after the daemon has.
  for (const each of [placeOf().folder, ...made]) forgetNew(journal, each);
  const before = existsSync(config.path) ? readFileSync(config.path, 'utf8') : null;
  const unconfirmed = unconfirmedOf(config.path);
  const there = existsSync(unconfirmed);
  let change: Change | undefined;
  journal.remember(async () => {
    const faults = await takeBack(change);
    if (!there) rmSync(unconfirmed, { force: true });
    if (faults.length > 0) throw new Error(faults.join('; '));
  });
  const begun = systemClock.now();
  const planned = { path: config.path, before, time, now: systemClock.wall(), patience: TELLING };
  ({ change } = await armRollback(planned));
  return { change, what, begun };
}

/** Undefined: it failed to keep what was there. Answers with what could not be put back. */
async function takeBack(change: Change | undefined): Promise<readonly string[]> {
  const now = systemClock.wall();
  const id = change && idNow(change);
  const why = 'nfknock init was given up';
  const { done, faults } = await rollBack({ why, now, ...(id && { id }), patience: TELLING });
  // It is said here and now, not once more by the next command.
  noticeOf(now);
  if (done || change === undefined) return faults;
  // It was rolled back or confirmed before; what has been done since goes, too.
  if (pendingChange() !== undefined)
    return ['another change waits for its confirmation by now, so rules and daemon are left as they are'];
  // What was in before is kept out for now.
  return await putBack(placeOf(), stoodDownNow() === undefined ? change : { ...change, parts: [] });
}

/** Whoever makes another change meanwhile prolongs this one, which then has another name. */
function idNow({ id, since }: Change): string {
  return [pendingChange(), undoneChange()].find((each) => each?.since === since)?.id ?? id;
}

/** Whether the change still waits for its confirmation. */
export function isArmed({ change }: WayBack): boolean {
  return pendingChange()?.since === change.since;
}

/** Milliseconds until it is put back here. */
export function leftOf({ change, what, begun }: WayBack): number {
  const waiting = pendingChange();
  const left =
    waiting !== undefined && waiting.id !== change.id
      ? waiting.deadline - systemClock.wall()
      : what.time - (systemClock.now() - begun);
  return left - BEFORE_THE_TIMER;
}

/** Rejects where what has just been done, `step`, has no way back any more: what else is wrong then follows from that. */
export async function checkWayBack(way: WayBack, step: string): Promise<void> {
  if (isArmed(way)) {
    if (leftOf(way) <= 0) throw failure(overWords(step));
    return;
  }
  const ended = await endedBy(way);
  if (ended === 'confirmed') return;
  if (ended === 'late') throw failure(overWords(step));
  throw failure(`in the middle of "${step}" ${ended.gone}`);
}

function overWords(step: string): string {
  return `the time (--within) was over in the middle of "${step}", before it could be confirmed: run it again with a longer one, such as --within 10m`;
}

/** How the waiting for a first knock ended: by somebody, too late, or why it is over before that. */
export type Waited = 'used' | 'confirmed' | 'late' | { readonly gone: string };

/** Waits until somebody has come in through the door, or until it is nearly too late. */
export async function waitForKnock(
  way: WayBack,
  stop: AbortSignal,
  say: (line: string) => void,
): Promise<Waited> {
  let opened = '';
  for (;;) {
    stop.throwIfAborted();
    if (!isArmed(way)) return await endedBy(way);
    if (leftOf(way) <= 0) return 'late';
    if (await wasUsed()) return 'used';
    const source = await lastGrant(way.what.control);
    if (source !== undefined && source !== opened) {
      opened = source;
      say(`The door is open to ${source}: connect now, as long as it is.`);
    }
    await sleep(LOOK_EVERY, undefined, { signal: stop }).catch(() => undefined);
  }
}

/** It waits no more, and it was not we: confirmed, or put back by the timer or another, who notes that at his end. */
async function endedBy(way: WayBack): Promise<Exclude<Waited, 'used'>> {
  const { change, what } = way;
  const { path, text } = what.config;
  for (let waited = 0; waited < KEPT_MS_MAX; waited += LOOK_AT_END_EVERY) {
    if (readIfThere(placeOf().confirmed) === `${path}\n${text}`) return 'confirmed';
    const ended = endOf(change, placeOf());
    if (ended !== undefined)
      return ended.why === UNCONFIRMED ? 'late' : { gone: `it was rolled back: ${ended.why}` };
    if (undoneChange()?.since === change.since) waited = 0;
    await sleep(LOOK_AT_END_EVERY);
  }
  // Who tells it takes the note away.
  return {
    gone: 'another command has confirmed it or rolled it back, and has told why; so does the log (journalctl -t nfknock)',
  };
}

async function lastGrant(control: string): Promise<string | undefined> {
  try {
    return (await ask(control, { command: 'grants' }, ANSWER_MS_MAX)).at(-1)?.source;
  } catch {
    return undefined;
  }
}

/** Rejects where the time has come meanwhile. */
export async function keepIt(way: WayBack): Promise<void> {
  if (isArmed(way) && (await confirmChange())) return;
  const ended = await endedBy(way);
  if (ended === 'confirmed') return;
  throw failure(ended === 'late' ? 'it was rolled back the moment before it was to be kept' : ended.gone);
}
