import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { atEnd } from './cleanup.ts';
import { execute, startProcess } from './process.ts';
import { ROOT } from './root.ts';

/*
 * One namespace, whose loopback has 192.0.2.1 and 2001:db8::1:
 *
 *   port 6999        NFQUEUE 9
 *   ports 7000–7999  NFQUEUE 7
 *   ports 8000–8999  NFLOG group 5, then DROP
 *
 * Scripts run in it, each in a Node process of its own, since a queue belongs to the namespace that it was
 * opened in. They say JSON values, one a line.
 */
export interface Lab {
  readonly namespace: string;
  /** Where native/test/no_netfilter.c lies, compiled. */
  readonly folder: string;
  /** Runs a script to its end and answers with what it said. Fails where it did. */
  run(script: string, options?: ScriptOptions): Promise<readonly unknown[]>;
  /** Starts a script that the test talks to. */
  start(script: string, options?: ScriptOptions): Running;
  /** Runs test/bench/flood.c; answers with the packets that were sent. */
  flood(...args: readonly string[]): Promise<number>;
  /** Runs native/test/tamper.c against a running script. */
  tamper(running: Running, ...args: readonly string[]): Promise<string>;
  /** Ends what a failed test has left running, so that the next finds its queue free. */
  killAll(): void;
  close(): void;
}

export interface ScriptOptions {
  /** What comes before `node`: setpriv, unshare … */
  readonly before?: readonly string[];
  /** Options of node's own. */
  readonly node?: readonly string[];
  /** The exit code that the script must have; default 0. */
  readonly code?: number;
}

export interface Running {
  readonly pid: number;
  /** The next value that it says. Fails where it ends first. */
  next(): Promise<unknown>;
  /** Gives it a line, which its `told()` waits for. */
  tell(line: string): void;
  /** Waits for its end; answers with its exit code and what it wrote to standard error. */
  ended(): Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** The package under test: the plain build, or the sanitizers' (native/test/sanitize.sh). */
const PACKAGE = process.env['NFQUEUE_PACKAGE'] ?? join(ROOT, 'native/index.js');
const PACKAGE_URL = pathToFileURL(PACKAGE).href;
const PRELOAD = process.env['NFQUEUE_PRELOAD'];
const SANITIZED = PRELOAD === undefined ? [] : [`LD_PRELOAD=${PRELOAD}`, 'ASAN_OPTIONS=detect_leaks=0'];

let made = 0;

export function createLab(): Lab {
  made += 1;
  const namespace = `nfkn${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}-${made}`;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-native-'));
  const close = atEnd(() => removeLab(namespace, folder));
  addNamespace(namespace);
  const program = (name: string, ...sources: readonly string[]): string => {
    const path = join(folder, name);
    const files = sources.map((source) => join(ROOT, source));
    execFileSync('cc', ['-O2', '-D_GNU_SOURCE', '-o', path, ...files], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    return path;
  };
  const flood = program('flood', 'test/bench/flood.c');
  const tamper = program('tamper', 'native/test/tamper.c', 'native/src/nfnl.c');
  program('no_netfilter', 'native/test/no_netfilter.c');
  const start = (script: string, options: ScriptOptions = {}): Running =>
    startScript(namespace, script, options, { FLOOD: flood, PACKAGE: PACKAGE_URL });
  return {
    namespace,
    folder,
    start,
    run: (script, options) => runToEnd(start(script, options), options?.code ?? 0),
    flood: async (...args) => sentBy(await output(namespace, [flood, ...args])),
    tamper: async (running, ...args) => output(namespace, [tamper, `${running.pid}`, ...args]),
    killAll: () => killAll(namespace),
    close,
  };
}

function addNamespace(namespace: string): void {
  const ip = (...args: readonly string[]): Buffer => execFileSync('ip', args);
  ip('netns', 'add', namespace);
  ip('-n', namespace, 'link', 'set', 'dev', 'lo', 'up');
  ip('-n', namespace, 'address', 'add', '192.0.2.1/32', 'dev', 'lo');
  ip('-n', namespace, 'address', 'add', '2001:db8::1/128', 'dev', 'lo', 'nodad');
  const rules = ['*filter'];
  for (const protocol of ['udp', 'tcp']) {
    rules.push(`-A INPUT -p ${protocol} --dport 6999 -j NFQUEUE --queue-num 9`);
    rules.push(`-A INPUT -p ${protocol} --dport 7000:7999 -j NFQUEUE --queue-num 7`);
    rules.push(`-A INPUT -p ${protocol} --dport 8000:8999 -j NFLOG --nflog-group 5`);
    rules.push(`-A INPUT -p ${protocol} --dport 8000:8999 -j DROP`);
  }
  const input = `${rules.join('\n')}\nCOMMIT\n`;
  for (const tool of ['iptables-restore', 'ip6tables-restore']) {
    execFileSync('ip', ['netns', 'exec', namespace, tool], { input });
  }
}

function killAll(namespace: string): void {
  const pids = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).stdout.split('\n');
  for (const pid of pids.filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

function removeLab(namespace: string, folder: string): void {
  killAll(namespace);
  spawnSync('ip', ['netns', 'delete', namespace]);
  rmSync(folder, { recursive: true, force: true });
}

async function output(namespace: string, argv: readonly string[]): Promise<string> {
  const result = await execute(namespace, argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout.trim();
}

function sentBy(text: string): number {
  const { sent } = JSON.parse(text) as { readonly sent: number };
  return sent;
}

/**
 * What every script has: the package, `say`, `told`, `until`, `send` (UDP to a port), `flood`, `sleep`, and
 * `stall`, which keeps the loop from running.
 */
const PRELUDE = `
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
const { NfLog, NfQueue, QueueError } = await import(process.env.PACKAGE);
const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + '\\n');
const lines = createInterface({ input: process.stdin });
const told = async () => (await once(lines, 'line'))[0];
const until = async (condition) => {
  const deadline = performance.now() + 10000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('never: ' + condition);
    await sleep(2);
  }
};
const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') };
sockets[4].unref();
sockets[6].unref();
const send = (port, bytes = 1, count = 1, family = 4) =>
  Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) =>
    sockets[family].send(Buffer.alloc(bytes, 0x5a), port, family === 4 ? '192.0.2.1' : '2001:db8::1',
      (error) => error ? reject(error) : resolve()))));
const flood = async (...args) => {
  const child = spawn(process.env.FLOOD, ['-d', '192.0.2.1', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse((await once(child.stdout.setEncoding('utf8'), 'data'))[0]).sent;
};
const stall = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const onError = (error) => { throw error; };
const count = { packets: 0, batches: 0 };
const onBatch = (batch, packets) => { count.packets += packets; count.batches += 1; };
`;

function startScript(
  namespace: string,
  script: string,
  options: ScriptOptions,
  env: Readonly<Record<string, string>>,
): Running {
  const node = [process.execPath, ...(options.node ?? []), '--input-type=module', '-e'];
  const argv = [
    ...(options.before ?? []),
    'env',
    ...SANITIZED,
    ...node,
    `${PRELUDE}\n${script}\nlines.close();`,
  ];
  const child = startProcess(namespace, argv, env);
  const said: string[] = [];
  const waiting: (() => void)[] = [];
  let stderr = '';
  let over = false;
  const wake = (): void => {
    for (const resume of waiting.splice(0)) resume();
  };
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(line);
    wake();
  });
  const end = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      over = true;
      wake();
      resolve(code);
    });
  });
  return {
    pid: child.pid ?? 0,
    tell: (line) => child.stdin.write(`${line}\n`),
    ended: async () => ({ code: await end, stderr }),
    next: async () => {
      for (;;) {
        const line = said.shift();
        if (line !== undefined) return JSON.parse(line);
        if (over) throw new Error(`the script ended before it said more: ${stderr}`);
        await new Promise<void>((resume) => waiting.push(resume));
      }
    },
  };
}

async function runToEnd(running: Running, expected: number): Promise<readonly unknown[]> {
  const { code, stderr } = await running.ended();
  if (code !== expected) throw new Error(`the script ended with ${code}: ${stderr}`);
  const values: unknown[] = [];
  for (;;) {
    try {
      values.push(await running.next());
    } catch {
      return values;
    }
  }
}
