import { dirname } from 'node:path';
import { systemClock } from '../../clock.ts';
import type { Owner } from '../../files/write.ts';
import { familiesHere } from '../../firewall/iptables/own-part.ts';
import { pendingChange, undoneChange } from '../../rollback/change.ts';
import { unconfirmedOf } from '../../rollback/restore-configuration.ts';
import { noticeOf } from '../../rollback/rollback.ts';
import { command as check } from '../commands/check.ts';
import { command as rules } from '../commands/rules.ts';
import { EXIT } from '../exit.ts';
import { failure } from '../failure.ts';
import { stoodDownNow } from '../stood-down.ts';
import { forgetNew, type Journal, makeFolder, rememberFile, writeRemembered } from './journal.ts';
import { isServing, startServing } from './serve.ts';
import type { WayBack } from './way-back.ts';

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
    throw failure(`what was written to ${path} is not right: please report this`);
}

/** Puts the rules in and starts the daemon, as long as there is a way back from that. Rejects with CommandFailure. */
export async function putIn(way: WayBack, stop: AbortSignal, holds: () => Promise<void>): Promise<void> {
  const { config, control, ipv4Only, appliance } = way.what;
  const options = {
    config: config.path,
    ipv4Only,
    ownChange: way.change.since,
    ...(appliance ? { policy: 'appliance' } : {}),
  };
  if ((await rules(['install'], options)) !== EXIT.done)
    throw failure('the rules could not be installed, for the reason above');
  stop.throwIfAborted();
  await holds();
  await startServing(config.path, control, stop);
}

/** What is in the way before anything is begun; undefined: nothing. */
export async function obstacle(control: string): Promise<string | undefined> {
  const undone = undoneChange() && noticeOf(systemClock.wall());
  if (undone !== undefined) return undone;
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
