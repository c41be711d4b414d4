import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import { ask } from '../../control/client.ts';
import type { Owner } from '../../files/write.ts';
import { familiesHere } from '../../firewall/iptables/own-part.ts';
import { endOf } from '../../rollback/ended.ts';
import { placeOf, readIfThere } from '../../rollback/place.ts';
import { unconfirmedOf } from '../../rollback/restore-configuration.ts';
import {
  armRollback,
  type Change,
  confirmChange,
  noticeOf,
  pendingChange,
  rollBack,
  wasUsed,
} from '../../rollback/rollback.ts';
import { command as check } from '../commands/check.ts';
import { command as rules } from '../commands/rules.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { stoodDownNow } from '../stood-down.ts';
import { forgetNew, type Journal, makeFolder, rememberFile, writeRemembered } from './journal.ts';
import { isServing, startServing } from './serve.ts';

const LOOK_EVERY = 500;
const ANSWER_MS_MAX = 2_000;
/** What is put back by hand here is, before the timer would. Milliseconds. */
const BEFORE_THE_TIMER = 2_000;
/** What is confirmed is kept, and what is put back noted, within this. Milliseconds. */
const KEPT_MS_MAX = 5_000;
const LOOK_AT_END_EVERY = 50;

/** What is put on this machine. */
export interface Installation {
  readonly config: { readonly path: string; readonly text: string };
  readonly control: string;
  /** Whose the configuration is, and the folder that it is in. */
  readonly owner: Owner;
  readonly spare: { readonly file: string; readonly text: string; readonly owner: Owner } | null;
  /** Milliseconds until all is put back. */
  readonly time: number;
  readonly ipv4Only: boolean;
  readonly appliance: boolean;
  /** What the daemon makes: gone again where it was not there, folders before what lies in them. */
  readonly made: readonly string[];
}

/** Keeps what is there for the way back, from now on. */
export async function armInit({ config, time, made }: Installation, journal: Journal): Promise<void> {
  // Before the roll-back is, so that they go after the daemon has.
  for (const each of [placeOf().folder, ...made]) forgetNew(journal, each);
  const before = existsSync(config.path) ? readFileSync(config.path, 'utf8') : null;
  const unconfirmed = unconfirmedOf(config.path);
  const there = existsSync(unconfirmed);
  journal.remember(async () => {
    const now = systemClock.wall();
    const { faults } = await rollBack('nfknock init was given up', now);
    // It is said here and now, not once more by the next command.
    noticeOf(now);
    if (!there) rmSync(unconfirmed, { force: true });
    if (faults.length > 0) throw new Error(faults.join('; '));
  });
  await armRollback({ path: config.path, before, time, now: systemClock.wall() });
}

/** Writes the configuration and the spare sequences. */
export async function writeConfiguration(what: Installation, journal: Journal): Promise<void> {
  const { config, owner, spare } = what;
  makeFolder(journal, dirname(config.path), { ...owner, mode: 0o750 });
  // Another's roll-back leaves it, and its folder could not go.
  forgetNew(journal, unconfirmedOf(config.path));
  if (spare !== null) {
    makeFolder(journal, dirname(spare.file), { ...spare.owner, mode: 0o700 });
    writeRemembered(journal, spare.file, spare.text, spare.owner);
  }
  writeRemembered(journal, config.path, config.text, owner);
}

/** What `check` says of what was written. Rejects with CommandFailure where that is wrong. */
export async function checkWritten({ config: { path } }: Installation): Promise<void> {
  if ((await check([path], { config: path, brief: true })) !== EXIT.done)
    throw failed(`what was written to ${path} is not right: please report this`);
}

/** Puts the rules in and starts the daemon. Rejects with CommandFailure. */
export async function putIn(what: Installation, stop: AbortSignal): Promise<void> {
  const { config, control, ipv4Only, appliance } = what;
  const options = {
    config: config.path,
    ipv4Only,
    ownChange: true,
    ...(appliance ? { policy: 'appliance' } : {}),
  };
  if ((await rules(['install'], options)) !== EXIT.done)
    throw failed('the rules could not be installed, for the reason above');
  stop.throwIfAborted();
  await startServing(config.path, control, stop);
}

/** How the waiting for a first knock ended: by somebody, too late, or by who put all back before that, for a reason. */
export type Waited = 'used' | 'confirmed' | 'late' | { readonly putBack: string };

/** Waits until somebody has come in through the door, or until it is nearly too late. */
export async function waitForKnock(
  { control, config }: Installation,
  stop: AbortSignal,
  say: (line: string) => void,
): Promise<Waited> {
  let opened = '';
  let before: Change | undefined;
  for (;;) {
    stop.throwIfAborted();
    const change = pendingChange();
    if (change === undefined) return await endedBy(before, config);
    before = change;
    if (systemClock.wall() > change.deadline - BEFORE_THE_TIMER) return 'late';
    if (await wasUsed()) return 'used';
    const source = await lastGrant(control);
    if (source !== undefined && source !== opened) {
      opened = source;
      say(`The door is open to ${source}: connect now, as long as it is.`);
    }
    await sleep(LOOK_EVERY, undefined, { signal: stop }).catch(() => undefined);
  }
}

/** It waits no more, and it was not we: confirmed, or put back by the timer or another, who notes that at his end. */
async function endedBy(change: Change | undefined, { path, text }: Installation['config']): Promise<Waited> {
  for (let waited = 0; waited < KEPT_MS_MAX; waited += LOOK_AT_END_EVERY) {
    if (readIfThere(placeOf().confirmed) === `${path}\n${text}`) return 'confirmed';
    const ended = change && endOf(change, placeOf());
    if (ended !== undefined) return isLate(change) ? 'late' : { putBack: ended.why };
    await sleep(LOOK_AT_END_EVERY);
  }
  // Who tells it takes the note away.
  const told = 'the command that did it has told why, and so does the log (journalctl -t nfknock)';
  return isLate(change) ? 'late' : { putBack: told };
}

function isLate(change: Change | undefined): boolean {
  return change !== undefined && systemClock.wall() >= change.deadline;
}

async function lastGrant(control: string): Promise<string | undefined> {
  try {
    return (await ask(control, { command: 'grants' }, ANSWER_MS_MAX)).at(-1)?.source;
  } catch {
    return undefined;
  }
}

/** Rejects where the time has come meanwhile. */
export async function keepIt(): Promise<void> {
  if (!(await confirmChange())) throw failed('it was rolled back already: run nfknock init again');
}

/** What is in the way before anything is begun; undefined: nothing. */
export async function obstacle(control: string): Promise<string | undefined> {
  if (pendingChange() !== undefined)
    return 'a change waits for its confirmation: run "nfknock confirm", or wait until it is rolled back';
  if (await isServing(control))
    return 'nfknock runs here already: edit its configuration and run "nfknock reload", or stop it first (systemctl stop nfknock)';
  if (stoodDownNow() !== undefined) return 'nfknock is stood down: run "nfknock stand-down --over" first';
  if (familiesHere().length === 0) return 'iptables is missing: apt-get install iptables';
  return undefined;
}

export function rememberKeys(journal: Journal, file: string, owner: Owner): void {
  makeFolder(journal, dirname(file), { ...owner, mode: 0o750 });
  rememberFile(journal, file);
}

function failed(message: string): CommandFailure {
  return new CommandFailure(EXIT.failed, message);
}
