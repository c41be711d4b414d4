import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/*
 *   client                                  server
 *   192.0.2.2, 203.0.113.1–250   eth0 ── eth0   192.0.2.1
 *   198.51.100.1–250, 2001:db8::2               2001:db8::1
 *
 * Everything happens between these two namespaces; floods bear sources of 2001:db8::/32.
 */
export const SERVER4 = '192.0.2.1';
export const SERVER6 = '2001:db8::1';
export const FORGED = '2001:db8:8000::/33';

export interface Net {
  readonly server: string;
  readonly client: string;
  /** Where the programs lie, compiled, and what a daemon writes. */
  readonly folder: string;
  start(namespace: string, argv: readonly string[], stdout?: 'pipe' | 'ignore'): ChildProcess;
  run(namespace: string, argv: readonly string[], input?: string): string;
  /** Packets that the rules have handed to a queue, or copied to a group. */
  offered(): number;
  close(): void;
}

const ROOT = process.cwd();
const MAC = { server: '02:00:00:00:00:01', client: '02:00:00:00:00:02' };

export function createNet(): Net {
  const name = `nfkB${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}`;
  const server = `${name}s`;
  const client = `${name}c`;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-bench-'));
  const children = new Set<ChildProcess>();
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    for (const child of children) child.kill('SIGKILL');
    for (const each of [server, client]) tryTo(() => ip('netns', 'delete', each));
    rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', close);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  lay(server, client);
  compile(folder);
  const run = (namespace: string, argv: readonly string[], input = ''): string =>
    execFileSync('ip', ['netns', 'exec', namespace, ...argv], {
      encoding: 'utf8',
      input,
      maxBuffer: 1 << 28,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
  return {
    server,
    client,
    folder,
    run,
    start(namespace, argv, stdout = 'ignore') {
      const stdio = [
        'ignore',
        stdout,
        process.env['BENCH_DEBUG'] === undefined ? 'ignore' : 'inherit',
      ] as const;
      const child = spawn('ip', ['netns', 'exec', namespace, ...argv], { stdio: [...stdio], cwd: folder });
      children.add(child);
      child.once('exit', () => children.delete(child));
      return child;
    },
    offered: () =>
      countedBy(run(server, ['iptables-save', '-c'])) + countedBy(run(server, ['ip6tables-save', '-c'])),
    close,
  };
}

function countedBy(rules: string): number {
  let sum = 0;
  for (const [, packets] of rules.matchAll(/^\[(\d+):\d+\] .* -j (?:NFQUEUE|NFLOG) /gm))
    sum += Number(packets);
  return sum;
}

function lay(server: string, client: string): void {
  ip('netns', 'add', server);
  ip('netns', 'add', client);
  ip(
    'link',
    'add',
    'eth0',
    'netns',
    server,
    'address',
    MAC.server,
    'type',
    'veth',
    'peer',
    'eth0',
    'netns',
    client,
    'address',
    MAC.client,
  );
  for (const each of [server, client]) {
    ip('-n', each, 'link', 'set', 'lo', 'up');
    ip('-n', each, 'link', 'set', 'eth0', 'up');
  }
  ip('-n', server, 'address', 'add', `${SERVER4}/24`, 'dev', 'eth0');
  ip('-n', server, 'address', 'add', `${SERVER6}/64`, 'dev', 'eth0', 'nodad');
  ip('-n', client, 'address', 'add', '192.0.2.2/24', 'dev', 'eth0');
  ip('-n', client, 'address', 'add', '2001:db8::2/64', 'dev', 'eth0', 'nodad');
  // Neighbours by hand, so that nothing waits for an address to be resolved.
  for (const to of [SERVER4, SERVER6]) neighbour(client, to, MAC.server);
  for (const to of ['192.0.2.2', '2001:db8::2']) neighbour(server, to, MAC.client);
  // As a firewall should stand: what no rule lets in is dropped. Accepted, a flood to random ports would leave an
  // entry for each packet in the kernel's table of connections, and once that is full nobody's packets get through.
  for (const iptables of ['iptables', 'ip6tables']) {
    execFileSync('ip', ['netns', 'exec', server, iptables, '-P', 'INPUT', 'DROP']);
  }
  const lines: string[] = [];
  for (const network of ['203.0.113', '198.51.100']) {
    ip('-n', server, 'route', 'add', `${network}.0/24`, 'via', '192.0.2.2');
    for (let host = 1; host <= 250; host += 1) lines.push(`address add ${network}.${host}/32 dev lo`);
  }
  execFileSync('ip', ['-n', client, '-batch', '-'], { input: lines.join('\n') });
}

function neighbour(namespace: string, address: string, mac: string): void {
  ip('-n', namespace, 'neigh', 'replace', address, 'lladdr', mac, 'nud', 'permanent', 'dev', 'eth0');
}

function compile(folder: string): void {
  const cc = (name: string, ...more: string[]): void => {
    execFileSync('cc', ['-O2', '-o', join(folder, name), join(ROOT, `test/bench/${name}.c`), ...more]);
  };
  cc('flood');
  cc('knocker');
  cc('readers', '-lnetfilter_queue', '-lnfnetlink');
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

export function tryTo(act: () => void): void {
  try {
    act();
  } catch {
    // It was gone already.
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Linux counts processor time in hundredths of a second. */
const TICK_SECONDS = 0.01;

/** Seconds of processor that a process has used: its own, and the kernel's in its name. */
export function timesOf(pid: number): { readonly user: number; readonly system: number } {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
  return { user: user * TICK_SECONDS, system: system * TICK_SECONDS };
}

/** Both together. */
export function processorOf(pid: number): number {
  const { user, system } = timesOf(pid);
  return user + system;
}

/** Bytes of memory that a process has in use. */
export function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}
