import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Family } from '../../packet/address.ts';
import { startProcess } from '../../process/start.ts';
import { FirewallError } from '../firewall.ts';
import { parseSaved } from '../rules/jump.ts';
import type { Table } from '../rules/names.ts';
import type { RuleSet } from '../rules/rules.ts';
import { findTool, LOCK_SECONDS, requireTool, runRequired, TOOL_ENVIRONMENT } from './command.ts';

/**
 * A way back for who changes a firewall from afar: the tables as they were, and a process of its own that puts
 * them back after a time unless it was told not to. It outlives the command, its terminal and its session.
 */

/** Each change that waits for its confirmation has a directory of this name and a random end. */
const UNDO = 'undo-';
/** While this file is there the change is undone at its time; whoever renames or removes it first decides. */
const PENDING = 'pending';
const UNDOING = 'undoing';
const TAKEN = 'taken';

/** A shell's script, whatever is in the arguments: $1 seconds, $2 directory, then a tool and a file, repeated. */
const TIMER = `
sleep "$1"
directory=$2
mv "$directory/${PENDING}" "$directory/${UNDOING}" 2>/dev/null || exit 0
shift 2
status=0
while [ "$#" -ge 2 ]; do
  "$1" -w ${LOCK_SECONDS} < "$2" || status=1
  shift 2
done
[ "$status" -eq 0 ] && rm -rf -- "$directory"
exit "$status"
`;

/** An empty table that lets everything pass: what a table was that was not there. */
const EMPTY: Readonly<Record<Table, string>> = {
  filter: '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n',
  nat: '*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n',
};

/**
 * Keeps the tables as they are and starts the timer. Where an earlier change still waits for its confirmation
 * it is that one's beginning that is kept: nothing was confirmed since.
 */
export async function armRollback(directory: string, rules: readonly RuleSet[], ms: number): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const mine = join(directory, `${UNDO}${randomBytes(8).toString('hex')}`);
  mkdirSync(mine, { mode: 0o700 });
  const earlier = undosIn(directory).filter((each) => existsSync(join(each, PENDING)));
  const restores: string[] = [];
  for (const { family, chains } of rules) {
    const file = join(mine, `before.v${family}`);
    const kept = earlier.map((each) => join(each, `before.v${family}`)).find(existsSync);
    if (kept !== undefined) copyFileSync(kept, file);
    else
      writeFileSync(file, await savedWhole(family, [...new Set(chains.map((chain) => chain.table))]), {
        mode: 0o600,
      });
    restores.push(requireTool('iptables-restore', family), file);
  }
  writeFileSync(join(mine, PENDING), '', { mode: 0o600 });
  await startTimer([`${Math.max(1, Math.ceil(ms / 1000))}`, mine, ...restores]);
  // Only now: at no moment is there no timer.
  disarm(earlier);
}

/** True where a change was waiting, and is now there to stay. */
export function confirmRollback(directory: string): boolean {
  return disarm(undosIn(directory)) > 0;
}

function undosIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.startsWith(UNDO));
  return names.map((name) => join(directory, name));
}

/** Takes the decision from timers that wait: renaming is done by one of the two, never by both. */
function disarm(undos: readonly string[]): number {
  let disarmed = 0;
  for (const each of undos) {
    try {
      renameSync(join(each, PENDING), join(each, TAKEN));
    } catch {
      continue;
    }
    rmSync(each, { recursive: true, force: true });
    disarmed += 1;
  }
  return disarmed;
}

/** What `iptables-save` prints, and of the tables that are to be written those that are not there yet, empty. */
async function savedWhole(family: Family, tables: readonly Table[]): Promise<string> {
  const text = await runRequired(requireTool('iptables-save', family), []);
  const saved = parseSaved(text);
  const missing = tables.filter((table) => !saved.has(table));
  return `${text}${missing.map((table) => EMPTY[table]).join('')}`;
}

function startTimer(args: readonly string[]): Promise<void> {
  const shell = findTool('sh', ['/bin', '/usr/bin']);
  if (shell === undefined) {
    throw new FirewallError('start the timer', 'MISSING', 'install a POSIX shell at /bin/sh');
  }
  return new Promise((resolve, reject) => {
    // Detached: in a session of its own, so that no hang-up reaches it.
    // In a session of its own, so that no hang-up reaches it.
    const child = startProcess(
      shell,
      ['-c', TIMER, 'nfknock-rollback', ...args],
      { stdin: 'ignore', output: 'ignore', group: 'own', cwd: '/', env: TOOL_ENVIRONMENT },
      (error) =>
        reject(new FirewallError('start the timer', 'SPAWN', 'free processes or memory', { cause: error })),
    );
    if (child === undefined) return;
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
  });
}
