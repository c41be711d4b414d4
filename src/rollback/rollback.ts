import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FirewallError } from '../firewall/firewall.ts';
import { findTool, runTool } from '../firewall/iptables/command.ts';
import { familiesHere, letInByGrants, readOwnPart } from '../firewall/iptables/own-part.ts';
import { type Change, pendingChange, RECORD, undoneChange } from './change.ts';
import { claimChange, claimerNow, isOurs, nameClaimer, type Patience, waitForClaimer } from './claimer.ts';
import { lastEnd, log, noteEnd, sentence } from './ended.ts';
import {
  bootId,
  claim,
  codeOf,
  discard,
  isReadable,
  makePlace,
  type Place,
  placeOf,
  readIfThere,
  remove,
  writeDurably,
} from './place.ts';
import { putBack, restoreRules, withSets } from './put-back.ts';
import { findStoodDown, hereAt } from './stood-down.ts';
import { unitState } from './systemd.ts';
import { type Later, startTimer } from './timer.ts';

/*
 * A way back for who changes a firewall from afar. What is nfknock's is kept as it is; unless the change is confirmed
 * in time it is put back, and nothing else is touched: rules that others made meanwhile stay. A daemon that runs would
 * put everything in again, so it stands down first.
 *
 * The folder of a change holds `record.json`, and for deploy/boot-rules, which finishes at boot what a power cut left,
 * plain files: `boot`, `path` and `configuration` (what the file is to hold again; `absent`: it is to go), `disabled`.
 */

export interface Planned {
  /** The configuration that is tried. */
  readonly path: string;
  /** What it held before, where the caller has written it; null: it was not there. Else what was last confirmed. */
  readonly before?: string | null;
  /** Milliseconds until all is put back. */
  readonly time: number;
  /** Wall time, ms. */
  readonly now: number;
  /** Where somebody else still rolls an earlier change back. */
  readonly patience?: Patience;
}

export interface Armed {
  readonly change: Change;
  /** Takes it back at once, where it is the first that waits. */
  cancel(): Promise<void>;
}

const BOOT_RULES = '/usr/lib/nfknock/boot-rules';
/** Who has carried on with a change, where it is not known who that was. */
const ANOTHER = 'another process';

/**
 * To be called before anything is changed: keeps what is there and starts the timer. Where an earlier change still
 * waits it is that one's beginning that is kept, since nothing was confirmed since.
 */
export async function armRollback({ path, before, time, now, patience }: Planned): Promise<Armed> {
  // What is there now is nothing at all, and to go back to that would open every port.
  if (findStoodDown(hereAt(now, { boot: bootId(), hasRtc: () => true })) !== undefined) {
    const fix = 'nfknock is stood down: `nfknock stand-down --over` first';
    throw new FirewallError('save the rules for a rollback', 'STOOD_DOWN', fix);
  }
  const place = makePlace();
  if (readIfThere(join(place.undoing, 'boot')) !== undefined)
    await rollBack({ why: 'an earlier rollback was interrupted', now, ...(patience && { patience }) });
  const earlier = pendingChange(place);
  const change: Change = {
    ...(earlier ?? (await beginning(place, resolve(path), before))),
    id: randomBytes(8).toString('hex'),
    since: earlier?.since ?? now,
    deadline: now + time,
    boot: bootId(),
  };
  if (earlier === undefined) keep(place, change);
  else writeDurably(join(place.pending, RECORD), JSON.stringify(change));
  remove(place.ended);
  try {
    await startTimer(timerOf(change.id, time));
  } catch (error) {
    // What nothing would take back is not begun; an earlier one keeps its own time.
    if (earlier === undefined) discard(place.pending);
    else writeDurably(join(place.pending, RECORD), JSON.stringify(earlier));
    throw error;
  }
  return {
    change,
    async cancel() {
      if (earlier !== undefined || !claimChange(place)) return;
      await restoreRules(change);
      discard(place.undoing);
    },
  };
}

function timerOf(id: string, time: number): Later {
  return {
    name: 'nfknock-rollback',
    description: 'Roll back a change of nfknock that nobody has confirmed',
    id,
    seconds: Math.max(1, Math.ceil(time / 1000)),
    args: ['rules', 'roll-back', '--change', id],
    withoutNode: ['roll-back'],
  };
}

async function beginning(
  place: Place,
  path: string,
  before: string | null | undefined,
): Promise<Omit<Change, 'id' | 'since' | 'deadline' | 'boot'>> {
  const parts = await Promise.all(familiesHere().map(readOwnPart));
  const sets = await withSets((all) => all.names());
  const text = before === undefined ? confirmedText(place, path) : before;
  const unit = await unitState();
  const configuration = text === undefined ? { path } : { path, text };
  return { parts, sets, configuration, ...(unit === undefined ? {} : { unit }) };
}

/** The folder appears whole: what is half written has another name. */
function keep(place: Place, change: Change): void {
  const beside = `${place.pending}.new`;
  remove(beside);
  try {
    mkdirSync(beside, { mode: 0o700 });
    const { path, text } = change.configuration;
    writeDurably(join(beside, 'boot'), `${change.boot}\n`);
    writeDurably(join(beside, 'path'), `${path}\n`);
    if (typeof text === 'string') writeDurably(join(beside, 'configuration'), text);
    if (text === null) writeDurably(join(beside, 'absent'), '');
    if (change.unit?.enabled === false) writeDurably(join(beside, 'disabled'), '');
    writeDurably(join(beside, RECORD), JSON.stringify(change));
  } catch (error) {
    remove(beside);
    const fix = `make room in ${place.folder}; nothing was changed`;
    throw new FirewallError('save the rules for a rollback', codeOf(error) ?? 'UNKNOWN', fix, {
      cause: error,
    });
  }
  if (!claim(beside, place.pending))
    throw new FirewallError('save the rules for a rollback', 'LOST', 'run it again');
}

/** True where a connection came in through a grant since the rules of the change were laid. */
export async function wasUsed(): Promise<boolean> {
  const counts = await Promise.all(familiesHere().map(letInByGrants));
  return counts.some((count) => count > 0);
}

/** The change is there to stay; false where none waited any more. */
export async function confirmChange(): Promise<boolean> {
  const place = placeOf();
  const change = pendingChange(place);
  const boots = readIfThere(join(place.pending, 'keep')) !== undefined;
  const kept = `${place.pending}.confirmed`;
  remove(kept);
  if (change === undefined || !claim(place.pending, kept)) return false;
  try {
    keepConfirmed(change.configuration.path);
  } catch (error) {
    // It waits as before: whoever is told that this failed still has the way back.
    claim(kept, place.pending);
    const fix = `make room in ${place.folder} and confirm again: until then the change waits`;
    throw new FirewallError('keep what is confirmed', codeOf(error) ?? 'UNKNOWN', fix, { cause: error });
  }
  remove(kept);
  // The unit has waited with its copy for the next boot until it is known that the change stays.
  if (boots && findTool('boot-rules', ['/usr/lib/nfknock']) !== undefined)
    await runTool(BOOT_RULES, ['keep']);
  return true;
}

/** What is in force now was meant so: it is what a later change falls back to. */
export function keepConfirmed(path: string): void {
  const place = makePlace();
  const text = readIfThere(path);
  if (text === undefined) return;
  writeDurably(place.confirmed, `${resolve(path)}\n${text}`);
  remove(place.refused);
}

function confirmedText({ confirmed }: Place, path: string): string | undefined {
  const text = readIfThere(confirmed);
  const end = text?.indexOf('\n') ?? -1;
  return text !== undefined && text.slice(0, end) === path ? text.slice(end + 1) : undefined;
}

export interface Asked {
  readonly why: string;
  /** Wall time, ms. */
  readonly now: number;
  /** Only this change, since a later one has a timer of its own. */
  readonly id?: string;
  /** Where somebody else is at it; a few seconds where nothing is said. */
  readonly patience?: Patience;
}

/** How a roll-back went: nothing was to be done, all was put back, or what could not be. */
export interface Outcome {
  readonly done: boolean;
  readonly faults: readonly string[];
  /** Who did it, where somebody else was at it and has been waited for. */
  readonly by?: string;
}

/**
 * Puts back what waits for its confirmation. What somebody else is rolling back is waited for; where he was killed over it,
 * or stands still, it is carried on with.
 */
export async function rollBack({ why, now, id, patience }: Asked): Promise<Outcome> {
  const place = placeOf();
  const waiting = pendingChange(place);
  if (id !== undefined && waiting !== undefined && waiting.id !== id) return { done: false, faults: [] };
  // What an earlier one has left of its own end.
  if (waiting !== undefined && readIfThere(join(place.undoing, RECORD)) === undefined) remove(place.undoing);
  const claimed = waiting !== undefined && claimChange(place);
  const change = undoneChange(place);
  // Who stood still once it had claimed the change may find that another has carried on with it, to its end.
  if (change === undefined) return { done: false, faults: [], ...(claimed && { by: ANOTHER }) };
  if (id !== undefined && change.id !== id) return { done: false, faults: [] };
  if (!claimed) {
    const { left, who } = await waitForClaimer(place, () => undoneChange(place)?.id === change.id, patience);
    if (!left) return { done: false, faults: [], by: who };
    nameClaimer(place);
  }
  const faults = await putBack(place, change);
  // Who has carried on with it meanwhile tells how it ended.
  if (undoneChange(place)?.id !== change.id || !isOurs(place))
    return { done: false, faults: [], by: ANOTHER };
  const ended = { at: now, since: change.since, why, faults };
  await log(sentence(ended));
  noteEnd(place, ended);
  return { done: true, faults };
}

/** What an owner should know of changes that wait or were rolled back, as sentences; says each end once. */
export function noticeOf(now: number): string | undefined {
  const place = placeOf();
  if (!isReadable(place)) return undefined;
  const waiting = pendingChange(place);
  if (waiting !== undefined) {
    const left = Math.max(0, Math.ceil((waiting.deadline - now) / 1000));
    return `a change waits for its confirmation: it is rolled back in ${left} s unless you run: nfknock confirm`;
  }
  const undone = undoneNow();
  if (undone !== undefined) return `${undone}; nfknock rules roll-back waits for that, or does the rest`;
  const ended = lastEnd(place);
  if (ended === undefined) return undefined;
  remove(place.ended);
  return sentence(ended);
}

/** What is known of a change that is being rolled back, or was when who did it was killed; undefined: there is none. */
export function undoneNow(): string | undefined {
  const place = placeOf();
  if (undoneChange(place) === undefined) return undefined;
  const who = claimerNow(place);
  return who === undefined
    ? 'a change is rolled back in part: who did it is gone'
    : `a change is being rolled back, by ${who}`;
}
