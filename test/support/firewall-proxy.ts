import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Connection } from '../../src/firewall/connections.ts';
import { type Change, type Firewall, FirewallError, type ReadBack } from '../../src/firewall/firewall.ts';
import type { Config } from '../../src/policy/config.ts';
import type { Host } from './net.ts';
import { startProcess } from './process.ts';
import { ROOT } from './root.ts';

/** What can be asked over a pipe. */
type FirewallCore = Pick<
  Firewall,
  'install' | 'installBase' | 'apply' | 'readBack' | 'intact' | 'remove' | 'close'
>;

/** The built firewall in a process of its own, in a namespace. */
export interface FirewallProxy extends FirewallCore {
  readonly pid: number;
  /** Another firewall in the same process; the one before must be closed. */
  reopen(config: Config): Promise<void>;
  /** Resolves with what is left over. */
  replace(config: Config): Promise<readonly unknown[]>;
  setsIntact(): Promise<boolean>;
  pids(): Promise<readonly number[]>;
  time(calls: readonly (readonly Change[])[]): Promise<readonly number[]>;
  /** Of each of many calls at once: `done`, or the error's code. */
  applyAll(calls: readonly (readonly Change[])[]): Promise<readonly string[]>;
  restore: {
    open(family: 4 | 6, answerMs?: number): Promise<void>;
    /** Prepared now, in force after so many milliseconds. */
    apply(block: string, afterMs?: number): Promise<void>;
    pid(): Promise<number | null>;
    close(): Promise<void>;
  };
  watchConnections(): Promise<void>;
  watchRules(): Promise<void>;
  /** What the watches have seen so far. */
  seen(): Promise<
    readonly (string | { readonly begun: Pick<Connection, 'source' | 'protocol' | 'host' | 'port'> })[]
  >;
  legacyBeside(): Promise<string | null>;
  /** Ends the process with SIGKILL and waits until it is gone. */
  kill(): Promise<void>;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { message: string; operation?: string; code?: string; fix?: string };
}

/** Starts the process, by a command that comes `before` it, and opens the firewall in it; nothing is installed yet. */
export async function startFirewall(
  namespace: string,
  config: Config,
  before: readonly string[] = [],
): Promise<FirewallProxy> {
  const driver = join(ROOT, 'test/support/firewall-driver.mjs');
  const child = startProcess(namespace, [...before, process.execPath, driver]);
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  child.stderr.setEncoding('utf8').on('data', (text: string) => process.stderr.write(text));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Answer;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      for (const [id, settle] of waiting) settle({ id, error: { message: 'the process ended' } });
      resolve();
    });
  });
  const ask = async <T>(operation: string, ...args: readonly unknown[]): Promise<T> => {
    last += 1;
    const id = last;
    const answer = await new Promise<Answer>((resolve) => {
      waiting.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ id, operation, args })}\n`);
    });
    const { error } = answer;
    if (error === undefined) return answer.value as T;
    if (error.code === undefined) throw new Error(error.message);
    throw new FirewallError(error.operation ?? '', error.code, error.fix ?? '');
  };
  await ask('open', config);
  return {
    pid: child.pid ?? 0,
    reopen: (next) => ask('open', next),
    install: () => ask('install'),
    installBase: () => ask('installBase'),
    apply: (changes) => ask('apply', changes),
    readBack: () => ask<ReadBack>('readBack'),
    intact: () => ask('intact'),
    setsIntact: () => ask('setsIntact'),
    replace: (next) => ask('replace', next),
    remove: () => ask('remove'),
    close: () => ask('close'),
    pids: () => ask('pids'),
    time: (calls) => ask('time', calls),
    applyAll: (calls) => ask('applyAll', calls),
    restore: {
      open: (family, answerMs) => ask('restoreOpen', family, answerMs),
      apply: (block, afterMs) => ask('restoreApply', block, afterMs),
      pid: () => ask('restorePid'),
      close: () => ask('restoreClose'),
    },
    watchConnections: () => ask('watchConnections'),
    watchRules: () => ask('watchRules'),
    seen: () => ask('seen'),
    legacyBeside: () => ask('legacyBeside'),
    kill: () => {
      child.kill('SIGKILL');
      return gone;
    },
  };
}

/** True where the host answers an echo request, which must not be settled by ARP or neighbour discovery alone. */
export async function answersPing(from: Host, address: string): Promise<boolean> {
  const six = address.includes(':') ? ['-6'] : [];
  const nmap = ['nmap', ...six, '-n', '-sn', '-PE', '--disable-arp-ping', '--max-retries', '1', address];
  const { stdout } = await from.exec(nmap);
  if (!stdout.includes('Nmap done')) throw new Error(`nmap did not run: ${stdout}`);
  return stdout.includes('Host is up');
}
