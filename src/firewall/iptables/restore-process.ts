import type { ChildProcess } from 'node:child_process';
import { guarded, owned } from '../../guard/guard.ts';
import type { Family } from '../../packet/address.ts';
import { startProcess } from '../../process/start.ts';
import { FirewallError } from '../firewall.ts';
import { endChild, LOCK_SECONDS, refused, requireTool, spawnError, TOOL_ENVIRONMENT } from './command.ts';

/**
 * A running `iptables-restore --noflush -v`. It commits each `*table … COMMIT` as it reads COMMIT, and prints
 * comment lines back in their turn: `# 7` after a COMMIT comes back once all before it is in force. At a bad
 * line it exits, with nothing of that block applied, and is started anew for the next.
 */
export interface Restore {
  /**
   * Resolves once the block is in force; rejects with a FirewallError where it is not. The child reads and prepares it
   * at once, and commits it after what `after` says; that must not reject.
   */
  apply(block: string, after?: Promise<void>): Promise<void>;
  /** The child's process id; undefined while none runs. */
  pid(): number | undefined;
  /** Ends the child once the blocks in progress are done. Idempotent. */
  close(): Promise<void>;
}

export interface RestoreOptions {
  readonly directories?: readonly string[];
  /** How long a block may take, in ms; with 10,000 rules in a chain it takes some tens. */
  readonly answerMs?: number;
}

/** A lock of the tables held by another is waited for LOCK_SECONDS; beyond twice that nothing will come. */
const ANSWER_MS_MAX: number = LOCK_SECONDS * 2 * 1000;
/** Bytes of standard error that are kept. */
const COMPLAINT_BYTES_MAX = 4096;

interface Running {
  /** Undefined: it could not be started, and the error is on its way. */
  child: ChildProcess | undefined;
  /** Called once: with nothing when the awaited line has come, with the error when the child is gone. */
  onAnswer: ((error?: FirewallError) => void) | undefined;
  awaited: string;
  unread: string;
  complaint: string;
}

export function openRestore(family: Family, options: RestoreOptions = {}): Restore {
  const path = requireTool('iptables-restore', family, options.directories);
  const answerMs = options.answerMs ?? ANSWER_MS_MAX;
  let running: Running | undefined;
  let number = 0;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;

  const start = (): Running => {
    const args = ['--noflush', '-v', '-w', `${LOCK_SECONDS}`];
    // In a session of its own: Ctrl-C in the terminal is for the daemon, which ends this child last.
    const mine: Running = { child: undefined, onAnswer: undefined, awaited: '', unread: '', complaint: '' };
    const gone = (error: FirewallError): void => {
      if (running === mine) running = undefined;
      mine.onAnswer?.(error);
    };
    const child = startProcess(
      path,
      args,
      { stdin: 'pipe', output: 'pipe', group: 'own', env: TOOL_ENVIRONMENT },
      (error) => gone(spawnError(path, error)),
    );
    mine.child = child;
    if (child === undefined) return mine;
    // Both pipes are always read: a child that waits for room in one of them would never answer.
    child.stdout?.on(
      'data',
      guarded('firewall', (chunk: Buffer) => readLines(mine, chunk.toString('latin1'))),
    );
    child.stderr?.on(
      'data',
      guarded('firewall', (chunk: Buffer) => {
        mine.complaint = (mine.complaint + chunk.toString('latin1')).slice(-COMPLAINT_BYTES_MAX);
      }),
    );
    child.stdin?.on('error', () => {});
    child.on(
      'close',
      guarded('firewall', (status) => gone(refused(path, status ?? -1, mine.complaint))),
    );
    return mine;
  };

  const send = (block: string, after: Promise<void> | undefined): Promise<void> => {
    running ??= start();
    const to = running;
    number += 1;
    to.awaited = `# ${number}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        guarded('firewall', () => {
          if (running === to) running = undefined;
          to.child?.kill('SIGKILL');
          const fix = 'another program holds the xtables lock, or the machine is overloaded';
          to.onAnswer?.(new FirewallError(`run ${path}`, 'TIMEOUT', fix));
        }),
        answerMs,
      );
      to.onAnswer = (error) => {
        to.onAnswer = undefined;
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const [prepared, commit] = halvesOf(`${block}# ${number}\n`);
      if (after === undefined) to.child?.stdin?.write(prepared + commit);
      else {
        to.child?.stdin?.write(prepared);
        owned(
          'firewall',
          after.then(() => to.child?.stdin?.write(commit)),
        );
      }
    });
  };

  return {
    apply(block, after) {
      if (closed) return Promise.reject(new FirewallError(`run ${path}`, 'CLOSED', 'the firewall is closed'));
      const mine = last.then(() => send(block, after));
      last = mine.catch(() => {});
      return mine;
    },
    pid: () => running?.child?.pid,
    async close() {
      closed = true;
      await last;
      if (running?.child !== undefined) await endChild(running.child);
    },
  };
}

/** What takes hold of nothing yet, and what does. */
function halvesOf(block: string): readonly [prepared: string, commit: string] {
  const at = block.lastIndexOf('COMMIT\n');
  return [block.slice(0, at), block.slice(at)];
}

function readLines(from: Running, text: string): void {
  const lines = (from.unread + text).split('\n');
  from.unread = lines.pop() ?? '';
  for (const line of lines) if (line === from.awaited) from.onAnswer?.();
}
