import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Net, sleep, tryTo } from './net.ts';

/** What is measured: the daemon, and those beside it. */
export type Name =
  | 'nfknock'
  | 'nfknock, 2 queues'
  | 'nfknock, NFLOG'
  | 'textbook C'
  | 'textbook C, 2 queues'
  | 'best C'
  | 'npm nfqueue'
  | 'knockd'
  | 'C + iptables -I';

export interface Rival {
  readonly name: Name;
  readonly pids: readonly number[];
  /** Packets that it has taken, as it or the kernel counts them; undefined where nobody does. */
  taken(): number | undefined;
  stop(): Promise<void>;
}

export interface Door {
  readonly bans?: object;
  /** Where the daemon leaves a profile of its processor time when it ends. It then runs in its parts, not bundled. */
  readonly profile?: string;
}

/** Longer than a trial, so that nobody's opening waits for another's closing. */
const OPEN_FOR = '10m';
const DAEMON = join(process.cwd(), 'dist/bin/nfknock.js');
/** Not in step with the millisecond for which packets are gathered. */
const SAMPLE_MICROS = 173;
const PARTS = join(process.cwd(), 'dist/cli/main.js');
/** The npm package, where it could be installed: scripts/bench.sh says where. */
const NFQUEUE = process.env['BENCH_NFQUEUE'] ?? '';

export function isThere(name: Name): boolean {
  if (name === 'npm nfqueue')
    return existsSync(join(NFQUEUE, 'node_modules/nfqueue/build/Release/nfqueue.node'));
  return true;
}

export async function startRival(net: Net, name: Name, door: Door = {}): Promise<Rival> {
  const config = writeConfig(net, name, door);
  if (name.startsWith('nfknock')) return startDaemon(net, name, config, door.profile);
  // The same rules for everyone: what the kernel does before a packet is read costs them all the same.
  if (name === 'knockd') dropAll(net);
  else net.run(net.server, [process.execPath, DAEMON, 'rules', 'install', '-c', config]);
  const children = argvOf(net, name).map((argv) => net.start(net.server, argv));
  await sleep(name === 'knockd' ? 600 : 300);
  return {
    name,
    pids: children.map(({ pid = 0 }) => pid),
    taken: () => (name === 'knockd' ? undefined : net.offered() - lostByQueue(net)),
    async stop() {
      await Promise.all(children.map(end));
      tryTo(() => void net.run(net.server, [process.execPath, DAEMON, 'rules', 'remove', '-c', config]));
      clear(net);
    },
  };
}

async function startDaemon(
  net: Net,
  name: Name,
  config: string,
  profile: string | undefined,
): Promise<Rival> {
  const program =
    profile === undefined
      ? [DAEMON]
      : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-interval=${SAMPLE_MICROS}`, PARTS];
  const child = net.start(net.server, [process.execPath, ...program, 'run', '-c', config]);
  const log = join(net.folder, 'log');
  const deadline = Date.now() + 15_000;
  while (!(existsSync(log) && readFileSync(log, 'utf8').includes('daemon.ready'))) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error('the daemon did not start: see BENCH_DEBUG=1');
    await sleep(5);
  }
  return {
    name,
    pids: [child.pid ?? 0],
    taken: () =>
      (
        JSON.parse(
          // It exits with 1 where something is wrong, such as a queue that was full a moment ago.
          net.run(net.server, [
            'sh',
            '-c',
            '"$@" || true',
            'status',
            process.execPath,
            DAEMON,
            'status',
            '--json',
            '-c',
            config,
          ]),
        ) as {
          queue: { packets: number };
        }
      ).queue.packets,
    async stop() {
      await end(child);
      tryTo(() => void net.run(net.server, [process.execPath, DAEMON, 'rules', 'remove', '-c', config]));
      clear(net);
    },
  };
}

function writeConfig(net: Net, name: Name, { bans = {} }: Door): string {
  const file = join(net.folder, 'nfknock.yaml');
  tryTo(() => void net.run(net.server, ['rm', '-f', join(net.folder, 'log'), join(net.folder, 'state.db')]));
  const listen = name.includes('NFLOG')
    ? { source: 'nflog' }
    : name.includes('2 queues')
      ? { queues: '0-1' }
      : { queues: 0 };
  writeFileSync(
    file,
    JSON.stringify({
      listen,
      doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: OPEN_FOR } },
      decoys: ['23/tcp', '2323/tcp', '3389/tcp', '5900-5910/tcp', '161/udp'],
      bans,
      state: join(net.folder, 'state.db'),
      control: join(net.folder, 'control.sock'),
      log: { file: join(net.folder, 'log') },
    }),
  );
  return file;
}

function argvOf(net: Net, name: Name): readonly (readonly string[])[] {
  const readers = join(net.folder, 'readers');
  switch (name) {
    case 'textbook C':
      return [[readers, 'textbook', '0']];
    case 'textbook C, 2 queues':
      return [
        [readers, 'textbook', '0'],
        [readers, 'textbook', '1'],
      ];
    case 'best C':
      return [[readers, 'best', '0']];
    case 'C + iptables -I':
      return [[readers, 'spawn', '0']];
    case 'npm nfqueue':
      return [[process.execPath, '-e', NPM_READER, join(NFQUEUE, 'node_modules/nfqueue')]];
    case 'knockd':
      writeFileSync(join(net.folder, 'knockd.conf'), KNOCKD);
      return [['knockd', '-i', 'eth0', '-c', join(net.folder, 'knockd.conf')]];
    default:
      throw new Error(`${name} is the daemon`);
  }
}

const NPM_READER = `
const { createQueueHandler } = require(process.argv[1]);
createQueueHandler(0, 65535, (packet) => packet.setVerdict(0));`;

const KNOCKD = `[options]
  logfile = /dev/null
[ssh]
  sequence = 7000:tcp,8000:udp,9000:tcp
  seq_timeout = 10
  tcpflags = syn
  start_command = /usr/sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
  cmd_timeout = 600
  stop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
`;

function dropAll(net: Net): void {
  for (const iptables of ['iptables', 'ip6tables']) {
    net.run(net.server, [iptables, '-A', 'INPUT', '-i', 'eth0', '-j', 'DROP']);
  }
}

function clear(net: Net): void {
  for (const iptables of ['iptables', 'ip6tables']) {
    for (const what of ['-F', '-X', '-Z']) tryTo(() => void net.run(net.server, [iptables, what]));
  }
  tryTo(() => void net.run(net.server, ['ipset', 'destroy']));
}

/** Packets that were offered to a queue and lost: it was full, or its reader's buffer was. */
export function lostByQueue(net: Net): number {
  const lines = net.run(net.server, ['cat', '/proc/net/netfilter/nfnetlink_queue']).trim().split('\n');
  const sum = (line: string): number => {
    const fields = line.trim().split(/\s+/).map(Number);
    return (fields[5] ?? 0) + (fields[6] ?? 0);
  };
  return lines.reduce((total, line) => total + (line === '' ? 0 : sum(line)), 0);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const alarm = setTimeout(() => child.kill('SIGKILL'), 3000);
  await ended;
  clearTimeout(alarm);
}
