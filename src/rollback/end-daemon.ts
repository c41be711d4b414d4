import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isReadable, netlinkInode, placeOf, readIfThere } from './place.ts';

/** The queue that every daemon holds: who has it serves this network namespace (src/daemon/open-sources.ts). */
const PLACE_QUEUE = '65535';
/** NETLINK_NETFILTER of linux/netlink.h. */
const NETLINK_NETFILTER = 12;
/** What a daemon takes as "roll back": it leaves its rules as they are and ends with a code that nothing restarts. */
export const ROLL_BACK_SIGNAL = 'SIGUSR2';
/** How long a daemon may take to end, and how often it is looked for. In milliseconds. */
const END_MAX = 10_000;
const KILL_MAX = 2_000;
const LOOK_EVERY = 25;

/**
 * Ends the daemon of this network namespace, since it would put back what is about to be taken out.
 * Answers false where one was there and could not be ended.
 */
export async function endDaemon(): Promise<boolean> {
  const pid = holder();
  if (pid === undefined) return !isHeld();
  if (!send(pid, ROLL_BACK_SIGNAL) || (await gone(END_MAX))) return true;
  // Asleep, stopped or stuck: nothing that it holds is lost by its end.
  send(pid, 'SIGKILL');
  return await gone(KILL_MAX);
}

/**
 * For the daemon that was ended so: resolves once what was laid is gone, so that its end tells of that, or once `enough`
 * does. Who can't look (the daemon's user can't) does not wait.
 */
export async function rollBackDone(enough: Promise<unknown>): Promise<void> {
  const place = placeOf();
  let waits = true;
  const stop = (): void => {
    waits = false;
  };
  enough.then(stop, stop);
  while (waits && isReadable(place) && existsSync(place.undoing))
    await Promise.race([sleep(LOOK_EVERY), enough]);
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function gone(within: number): Promise<boolean> {
  for (let waited = 0; waited < within; waited += LOOK_EVERY) {
    if (!isHeld()) return true;
    await sleep(LOOK_EVERY);
  }
  return !isHeld();
}

/** True where a daemon serves this network namespace. */
export function isHeld(): boolean {
  return portOfHolder() !== undefined;
}

/** The netlink port of who holds the queue. */
function portOfHolder(): string | undefined {
  const queues = readIfThere('/proc/self/net/netfilter/nfnetlink_queue') ?? '';
  for (const line of queues.split('\n')) {
    const [queue, port] = line.trim().split(/\s+/);
    if (queue === PLACE_QUEUE) return port;
  }
  return undefined;
}

/** The process that holds the queue: the kernel tells its socket, and /proc whose that is. */
function holder(): number | undefined {
  const port = portOfHolder();
  if (port === undefined) return undefined;
  const inode = netlinkInode(NETLINK_NETFILTER, Number(port));
  if (inode === undefined) return undefined;
  const target = `socket:[${inode}]`;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => hasOpen(pid, target));
  return found === undefined ? undefined : Number(found);
}

function hasOpen(pid: string, target: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === target);
  } catch {
    // It has ended, or is none of ours.
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
