import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../../../src/control/status.ts';
import { buildFlood, giveRoom, startPublicService } from '../../support/attacker-tools.ts';
import { nfknock } from '../../support/bans-lab.ts';
import { atEnd } from '../../support/cleanup.ts';
import type { Daemon, Line } from '../../support/daemon.ts';
import { createNet, type Net } from '../../support/net.ts';
import { type PortWatch, watchPort } from '../../support/operation-lab.ts';
import { startProcess } from '../../support/process.ts';
import { temporaryFolder } from '../../support/scratch.ts';

/** The machine under attack: one daemon, started once, and what its attackers and its owners need around it. */

export const SERVICE = 22;
export const COUNTED = 2200;
export const HOOKED = 2210;
export const ONCE = 2220;
export const PUBLIC = 8080;
export const PUBLIC_UDP = 5000;
/** Strangers who try the protected port all the time come from here, and floods of forged packets from there. */
export const STRANGERS = '203.0.113.128/25';
export const FORGED = '198.18.0.0/15';
/** How long to wait for what a busy machine may be late with. */
export const PATIENCE = 20_000;

const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '60s' };
/** Whose `on_open` is a script that an attack writes anew. */
const HOOKED_DOOR = { knock: ['7310/tcp', '7410/tcp'], opens: [`${HOOKED}/tcp`], for: '5s' };
const COUNTED_DOOR = { knock: ['7300/tcp', '7400/tcp'], opens: [`${COUNTED}/tcp`], for: '1h', uses: 3 };
/** A disk so small is soon full: that of the log, and that of the one-time file. */
const DISK_BYTES = 8 * 1024 * 1024;
const ONCE_DISK_BYTES = 256 * 1024;
/** More lines than a long run uses up, and more bytes than a page. */
const ONCE_LINES = 400;
/** Room for what the kernel tells, in bytes: so little that a burst overruns it, and what a quiet machine has. */
const SHORT_OF_ROOM = 65_536;
export const ROOM_ENOUGH: number = 8 * 1024 * 1024;

export interface World {
  readonly net: Net;
  readonly daemon: Daemon;
  /** Builds many small packets. */
  readonly flood: string;
  readonly port: PortWatch;
  /** A disk of the log's own. */
  readonly disk: string;
  /** The program that the door's `on_open` starts, and that of the door for hooks. */
  readonly hook: string;
  readonly script: string;
  /** A one-time file on a disk of its own. */
  readonly sequences: string;
  readonly config: { readonly doors: object };
  /** Sizes as a share of those of the long run. */
  readonly scale: number;
  /** SYNs that got past the rules while someone else had changed them: that is not nfknock's doing. */
  excused: number;
}

export async function createWorld(scale: number): Promise<World> {
  const net = await createNet();
  try {
    for (const port of [SERVICE, COUNTED]) await net.server.listen(port);
    startPublicService(net.server.namespace, PUBLIC, 'echo');
    addAddresses(net.clientA.namespace, [...OWNERS, ...USERS]);
    addAddresses(net.clientB.namespace, ATTACKERS);
    const folder = temporaryFolder();
    const disk = mountDisk(join(folder, 'disk'));
    const hook = join(folder, 'hook');
    // A binary: the kernel refuses to run one that is open for writing; a script it would run.
    copyFileSync('/bin/true', hook);
    const script = join(folder, 'script');
    writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 });
    const sequences = join(mountDisk(join(folder, 'once'), ONCE_DISK_BYTES), 'sequences');
    writeFileSync(sequences, onceLines().join(''));
    const log = join(disk, 'events.log');
    const config = {
      doors: {
        ssh: { ...SSH, on_open: [hook] },
        counted: COUNTED_DOOR,
        hooked: { ...HOOKED_DOOR, on_open: [script, '%IP%'] },
        once: { one_time: sequences, opens: [`${ONCE}/tcp`], for: '5s' },
      },
      allow: [`${PUBLIC}/tcp`, `${PUBLIC_UDP}/udp`],
      decoys: ['10-20/tcp', '2323/tcp'],
      bans: { cut: true, for: '20s', limit: 8192 },
      memory: { sources: 16_384 },
      log: { file: log },
    };
    // What is written to the log is read as if it were said; what can't be written there is said indeed.
    const follow = 'tail -q -n +1 -F --pid=$$ "$0" 2>/dev/null & exec "$@"';
    const daemon = await net.server.startDaemon(config, {
      before: ['sh', '-c', follow, log],
      timeout: PATIENCE,
    });
    giveRoom(daemon.pid, SHORT_OF_ROOM, 'events');
    // Nobody knocks from this network: whoever of the others gets past the rules was let in by mistake.
    const port = await watchPort(net.server, SERVICE, '192.0.2.0/24');
    return {
      ...{ net, daemon, flood: buildFlood(), port, disk, hook, script, sequences, config, scale },
      excused: 0,
    };
  } catch (error) {
    net.close();
    throw error;
  }
}

/** Knockers take turns, so that each is a fresh source: its last grant and its last knock are long gone. */
const TURNS = 180;
const owner4 = (turn: number): string => `192.0.2.${20 + turn}`;
const owner6 = (turn: number): string => `2001:db8:a:${100 + turn}::10`;
const OWNERS = Array.from({ length: TURNS }, (_, turn) => [owner4(turn), owner6(turn)]).flat();
/** Owners of the door with `uses`. */
const USERS = Array.from({ length: 40 }, (_, index) => `192.0.2.${index + 210}`);
const ATTACKERS = Array.from({ length: 200 }, (_, index) => `198.51.100.${index + 20}`);

let turn = 0;
const inTurn = (addresses: readonly string[]): string => {
  turn += 1;
  return addresses[turn % addresses.length] ?? '';
};
let owners = 0;
/** The next who knocks: IPv4 and IPv6 in turn. */
export const nextOwner = (): string => {
  owners += 1;
  return OWNERS[owners % OWNERS.length] ?? '';
};
/** The next who knocks with forged packets: nobody's address, each once. */
export const nextForger = (): string => {
  forgers += 1;
  return `203.0.${112 - (forgers >> 8)}.${forgers & 255}`;
};
let forgers = 0;
export const nextUser = (): string => inTurn(USERS);
export const nextAttacker = (): string => inTurn(ATTACKERS);

function addAddresses(namespace: string, addresses: readonly string[]): void {
  const lines = addresses.map((address) =>
    address.includes(':') ? `address add ${address}/48 dev eth0 nodad` : `address add ${address}/24 dev eth0`,
  );
  execFileSync('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Each of other ports, so that none is a part of another. */
function onceLines(): readonly string[] {
  return Array.from({ length: ONCE_LINES }, (_, index) => {
    const port = 20_000 + 3 * index;
    return `${port}/tcp,${port + 1}/udp,${port + 2}/tcp\n`;
  });
}

function mountDisk(place: string, bytes = DISK_BYTES): string {
  mkdirSync(place);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', place]);
  atEnd(() => void spawnSync('umount', ['-l', place]));
  return place;
}

/** Strangers try the protected port all the time, 200 times a second; the answer ends that. */
export function keepTrying({ net: { clientB }, flood }: World): () => void {
  let child: ReturnType<typeof startProcess> | undefined;
  let going = true;
  const begin = (): void => {
    const args = ['-d', clientB.server4, '-p', `${SERVICE}`, '-s', STRANGERS];
    child = startProcess(clientB.namespace, [flood, ...args, '-r', '200', '-n', '10000', '-t', '50']);
    child.on('exit', () => going && begin());
  };
  begin();
  return () => {
    going = false;
    child?.kill('SIGKILL');
  };
}

/** What `status` says and its exit code; undefined where there was no answer. */
export async function statusOf(
  world: World,
): Promise<{ readonly code: number | null; readonly status: Status } | undefined> {
  const { code, stdout } = await nfknock(world.net.server, world.daemon, 'status', '--json');
  return stdout.startsWith('{') ? { code, status: JSON.parse(stdout) as Status } : undefined;
}

/** Waits until `status` tells of a trouble. */
export async function toldOf(world: World, trouble: RegExp): Promise<void> {
  const end = performance.now() + PATIENCE;
  let last = 'no answer';
  while (performance.now() < end) {
    const answer = await statusOf(world);
    const problems = answer?.status.problems.map(({ what }) => what) ?? [];
    if (problems.some((what) => trouble.test(what))) {
      if (answer?.code !== 1) throw new Error(`status tells of ${trouble} and exits with ${answer?.code}`);
      return;
    }
    last = problems.join('; ');
    await sleep(200);
  }
  throw new Error(`status does not tell of ${trouble}, but of: ${last}`);
}

/** Waits for one more event that is as wanted, counted from `since`. */
export async function sawMore(
  { daemon }: World,
  wanted: Partial<Line>,
  since: number,
  patience: number = PATIENCE,
): Promise<void> {
  const late = (): string => `no ${JSON.stringify(wanted)} within ${patience} ms`;
  await until(() => daemon.seen(wanted).length > since, late, patience);
}

/** Waits until it is so; throws with what `late` says where that takes longer than `patience`, in milliseconds. */
export async function until(
  isSo: () => boolean,
  late: () => string,
  patience: number = PATIENCE,
): Promise<void> {
  const end = performance.now() + patience;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(late());
    await sleep(20);
  }
}

/** Resident bytes and descriptors of the daemon. */
export function footprint({ daemon }: World): { readonly rss: number; readonly files: number } {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
  const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  return { rss, files: readdirSync(`/proc/${daemon.pid}/fd`).length };
}

/** Runs a command on the machine under attack; throws where it fails. */
export async function onServer(world: World, argv: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await world.net.server.exec(argv, { input });
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return stdout;
}
