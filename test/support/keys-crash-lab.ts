import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Daemon } from './daemon.ts';
import { childrenOf } from './keys-lab.ts';

/* A daemon killed with -9 at a step of its way, for the tests of packets of keys and of codes. */

const LATE = 15_000;

/** Within so many milliseconds of its start a daemon has synced what it wrote then. */
const SETTLED = 2_500;

/** The daemon is killed as it begins this system call for the first time from now on. */
export async function killAt(daemon: Daemon, call: string): Promise<void> {
  await sleep(SETTLED);
  const inject = ['-f', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=1`];
  const strace = spawn('strace', [...inject, '-p', `${daemon.pid}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(strace.stderr, 'data');
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

/** Holds the programs that lay rules; what they were told stays in their pipes. Not those that only look, once, at the start. */
export async function holdRules(daemon: Daemon): Promise<readonly number[]> {
  const before = childrenOf(daemon.pid);
  await sleep(SETTLED);
  const tools = childrenOf(daemon.pid).filter((pid) => before.includes(pid));
  signal(tools, 'SIGSTOP');
  return tools;
}

export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended with the daemon.
    }
  }
}
