import type { Config } from '../policy/config.ts';
import { holdersOf, type Process, readText, rowsOf } from './proc.ts';

/** Who reads a queue of packets. */
export interface QueueReader {
  readonly queue: number;
  /** Null: unknown, since another user's or another namespace's. */
  readonly process: Process | null;
}

/** NETLINK_NETFILTER of linux/netlink.h, as /proc/net/netlink writes it. */
const NETFILTER = '12';

/** Who reads these queues of this network namespace. Root alone sees it: else there are none. */
export async function findQueueReaders({
  first,
  last,
}: Config['listen']['queues']): Promise<readonly QueueReader[]> {
  const queues = rowsOf(readText('/proc/self/net/netfilter/nfnetlink_queue')).filter(
    ([queue]) => Number(queue) >= first && Number(queue) <= last,
  );
  if (queues.length === 0) return [];
  const inodes = netfilterSockets(readText('/proc/self/net/netlink'));
  const bound = queues.flatMap(([queue = '', port = '']) => [
    { queue: Number(queue), inode: inodes.get(unsigned(port)) },
  ]);
  const holders = await holdersOf(new Set(bound.flatMap(({ inode }) => inode ?? [])));
  return bound.map(({ queue, inode }) => ({
    queue,
    process: inode === undefined ? null : (holders.get(inode) ?? null),
  }));
}

/** By the port of a netlink socket, its inode: `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`. */
export function netfilterSockets(table: string): ReadonlyMap<number, string> {
  return new Map(
    rowsOf(table).flatMap(([, protocol, port = '', , , , , , , inode = '']) =>
      protocol === NETFILTER ? [[unsigned(port), inode] as const] : [],
    ),
  );
}

/** One table writes ports beyond 2^31 as negative numbers, the other does not. */
function unsigned(text: string): number {
  return Number(text) >>> 0;
}
