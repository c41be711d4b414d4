import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Daemon } from './daemon.ts';
import { childrenOf } from './keys-lab.ts';

/* A daemon killed with -9 at a step of its way, for the tests of packets of keys and of codes. */

type Tracer = ChildProcessByStdio<null, null, Readable>;

const LATE = 15_000;

/** Within so many milliseconds of its start a daemon has synced what it wrote then. */
const SETTLED = 2_500;

/** The daemon is killed as it begins this system call for the first time from now on. */
export async function killAt(daemon: Daemon, call: string): Promise<void> {
  await sleep(SETTLED);
  const inject = ['-f', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=1`];
  await attach(daemon, inject);
}

/** A strace of the daemon, once it has it; what it sees comes by its standard error. */
async function attach(daemon: Daemon, options: readonly string[]): Promise<Tracer> {
  const strace = spawn('strace', [...options, '-p', `${daemon.pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await once(strace.stderr, 'data');
  return strace;
}

export async function died(daemon: Daemon): Promise<void> {
  await expect.poll(() => isAlive(daemon), { timeout: LATE }).toBe(false);
}

function isAlive({ pid }: Daemon): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** Programs that change rules, stopped; what they are told stays in their pipes. */
export interface StoppedTools {
  readonly tools: readonly number[];
  /** Once they have been told a rule to its end: that is said after what was used up has been synced. */
  isTold(): Promise<void>;
}

/** Stops the programs that change rules. Not those that only look, once, at the start. */
export async function stopTools(daemon: Daemon): Promise<StoppedTools> {
  const before = childrenOf(daemon.pid);
  await sleep(SETTLED);
  const tools = childrenOf(daemon.pid).filter((pid) => before.includes(pid));
  signal(tools, 'SIGSTOP');
  // The first half of a rule is told at once, its COMMIT after the sync; nothing outside shows which of them has come.
  const strace = await attach(daemon, ['-f', '-s', '4096', '-e', 'trace=write,writev,sendto,sendmsg']);
  let said = '';
  strace.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1');
  });
  return {
    tools,
    async isTold() {
      await expect.poll(() => said.includes('COMMIT\\n# '), { timeout: LATE }).toBe(true);
      strace.kill('SIGTERM');
      await once(strace, 'exit');
    },
  };
}

/**
 * Killed with the rule not in force. The daemon is stopped first: it must see nothing of its programs' end, and the kernel
 * hangs up on what it finds stopped and without a parent.
 */
export function killBeforeRule(daemon: Daemon, { tools }: StoppedTools): void {
  signal([daemon.pid], 'SIGSTOP');
  signal(tools, 'SIGKILL');
  signal([daemon.pid], 'SIGKILL');
}

/** Killed with the rule in force: the daemon is stopped, so that it reads no answer, until its programs have done it. */
export async function killOnceInForce(
  daemon: Daemon,
  { tools }: StoppedTools,
  isInForce: () => Promise<boolean>,
): Promise<void> {
  signal([daemon.pid], 'SIGSTOP');
  signal(tools, 'SIGCONT');
  await expect.poll(isInForce, { timeout: LATE }).toBe(true);
  signal([daemon.pid], 'SIGKILL');
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended with the daemon.
    }
  }
}
