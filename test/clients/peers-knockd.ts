import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { atEnd } from '../support/cleanup.ts';
import { type Exit, NFKNOCK } from '../support/daemon.ts';
import type { Client, Host } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

/** The interface that knockd listens on: the server's cable to client A. */
const LINK = 'toA';
const READY_TIMEOUT_MS = 10_000;
const LINE_TIMEOUT_MS = 5_000;
/** Milliseconds for whoever gets in: knockd starts programs, on a machine that may be busy. */
const PATIENCE = 4_000;
/** Milliseconds until one who is not let in is believed not to be. */
const REFUSED = 250;

/** knockd 0.8 as Debian ships it, at work in the server's namespace. */
export interface Knockd {
  /** What it has said so far, with `-v -D`. */
  readonly lines: readonly string[];
  /** The first line, past or to come, that holds the text; throws with what was said instead. */
  waitFor(text: string, timeout?: number): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  readonly exited: Promise<Exit>;
}

/** A folder of a test's own, gone at the end. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-peers-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A knockd.conf of the fixtures, with the interface and the paths that it has in this test. */
export function exampleConf(
  name: string,
  folder: string,
  more: Readonly<Record<string, string>> = {},
): string {
  let text = readFileSync(join(ROOT, 'test/fixtures/knockd', name), 'utf8');
  const places = { '/var/log/knockd.log': join(folder, 'knockd.log'), eth0: LINK, ...more };
  for (const [from, to] of Object.entries(places)) text = text.replaceAll(from, to);
  return text;
}

export async function startKnockd(server: Host, folder: string, conf: string): Promise<Knockd> {
  const file = join(folder, 'knockd.conf');
  writeFileSync(file, conf);
  const child = startProcess(server.namespace, ['knockd', '-i', LINK, '-c', file, '-D', '-v']);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  const take = (line: string): void => {
    lines.push(line);
    for (const look of watchers) look();
  };
  createInterface({ input: child.stdout }).on('line', take);
  createInterface({ input: child.stderr }).on('line', take);
  let exit: Exit | undefined;
  // Not 'close': the commands that it runs hold its output open for as long as they sleep.
  const exited = new Promise<Exit>((resolve) => {
    child.on('exit', (code, signal) => {
      exit = { code, signal };
      resolve(exit);
    });
  });
  const waitFor = (text: string, timeout = LINE_TIMEOUT_MS): Promise<string> =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(alarm);
        watchers.delete(look);
        act();
      };
      const look = (): void => {
        const found = lines.find((line) => line.includes(text));
        if (found !== undefined) settle(() => resolve(found));
      };
      const alarm = setTimeout(
        () => settle(() => reject(new Error(`knockd did not say "${text}", but:\n${lines.join('\n')}`))),
        timeout,
      );
      watchers.add(look);
      look();
    });
  await waitFor('listening on', READY_TIMEOUT_MS);
  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  return {
    lines,
    waitFor,
    signal,
    stop: async (name = 'SIGTERM') => {
      if (exit === undefined) signal(name);
      return await exited;
    },
    exited,
  };
}

/** The command that every guide has. */
export function accept(change: 'A' | 'D', port: number): string {
  return `/usr/sbin/iptables -${change} INPUT -s %IP% -p tcp --dport ${port} -j ACCEPT`;
}

/** What knockd's guides begin with: everything is dropped but what belongs to open connections. */
export async function layGuideRules(server: Host): Promise<void> {
  const rules = ['iptables', 'ip6tables'].flatMap((tool) => [
    `${tool} -A INPUT -i lo -j ACCEPT`,
    `${tool} -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT`,
    `${tool} -P INPUT DROP`,
  ]);
  await sh(server, rules.join(' && '));
}

export async function clearRules(server: Host): Promise<void> {
  await sh(server, 'for tool in iptables ip6tables; do $tool -P INPUT ACCEPT; $tool -F; $tool -X; done');
  await sh(server, 'conntrack -F 2>/dev/null; true');
}

/** Whether a connection is made. Who hopes to get in keeps trying: what opens the door may take a moment. */
export async function reaches(
  client: Client,
  target: string,
  port: number,
  hope: 'to get in' | 'none',
): Promise<boolean> {
  const deadline = performance.now() + (hope === 'none' ? REFUSED : PATIENCE);
  do {
    if (await client.canConnect(target, port, REFUSED)) return true;
  } while (performance.now() < deadline);
  return false;
}

/** The configuration that `nfknock import` makes of a knockd.conf, with a log that the test can read. */
export async function imported(folder: string, conf: string): Promise<Record<string, unknown>> {
  const file = join(folder, 'import.conf');
  writeFileSync(file, conf);
  const [node = '', ...args] = NFKNOCK;
  const { stdout } = await promisify(execFile)(node, [...args, 'import', file]);
  const config: unknown = parse(stdout);
  if (typeof config !== 'object' || config === null) throw new Error(`no configuration: ${stdout}`);
  return { ...config, log: { level: 'info' } };
}

export async function sh(host: Host, script: string): Promise<string> {
  const { code, stdout, stderr } = await host.exec(['sh', '-c', script]);
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${stderr}`);
  return stdout;
}
