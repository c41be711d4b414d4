import { readFileSync } from 'node:fs';
import type { Family } from '../../packet/address.ts';
import { type Cidr, contains } from '../../packet/cidr.ts';
import { FirewallError } from '../firewall.ts';
import {
  type Connection,
  deleteMessage,
  type Entry,
  isEnd,
  isNew,
  listMessage,
  readConnection,
  readEntry,
} from './conntrack-message.ts';
import { type NetfilterSocket, openNetfilter } from './socket.ts';

export type { Connection } from './conntrack-message.ts';

/** NFNLGRP_CONNTRACK_* of linux/netfilter/nfnetlink.h. */
const GROUP = { new: 1, destroy: 3 } as const;
const EPERM = 1;
/** The entry was gone before it could be taken out. */
const ENOENT = 2;
/** 0: no events; 1: always; 2, since Linux 6.0: while somebody listens. */
const EVENTS_SWITCH = '/proc/sys/net/netfilter/nf_conntrack_events';

/**
 * Ends the connections that these sources began: their entries are deleted, so that their next packet is a new
 * one. Looks through each table once, however many sources there are. Resolves with how many ended.
 */
export async function cutConnections(socket: NetfilterSocket, sources: readonly Cidr[]): Promise<number> {
  let ended = 0;
  for (const family of [4, 6] as const) {
    const mine = sources.filter((source) => source.address.family === family);
    if (mine.length === 0) continue;
    for (const entry of await entriesFrom(socket, family, mine)) {
      const answer = await socket.request(deleteMessage(family, entry));
      if (answer.ok) ended += 1;
      else if (answer.refusal.errno !== ENOENT) throw errorOf('delete a connection', answer.refusal.errno);
    }
  }
  return ended;
}

export interface ConnectionWatch {
  /** Idempotent; no call comes after it. */
  close(): void;
}

export interface WatchOptions {
  /** A connection ended, or its entry ran out. */
  readonly onEnd?: (connection: Connection) => void;
  /** So many events were missed, at least: more came than could be read. */
  readonly onLost?: (count: number) => void;
}

/**
 * Calls back for each connection that the firewall let through, once, with its first packet. Throws a
 * FirewallError where the kernel has no such events.
 */
export function watchConnections(
  onConnection: (connection: Connection) => void,
  options: WatchOptions = {},
): ConnectionWatch {
  if (eventsAreOff()) {
    const mend = 'switch them on: sysctl net.netfilter.nf_conntrack_events=1';
    throw new FirewallError('watch connections', 'NO_EVENTS', mend);
  }
  const socket = openNetfilter({
    onEvent: (message) => {
      const tell = isNew(message.type) ? onConnection : isEnd(message.type) ? options.onEnd : undefined;
      const connection = tell === undefined ? undefined : readConnection(message.payload);
      if (connection !== undefined) tell?.(connection);
    },
    ...(options.onLost === undefined ? {} : { onOverrun: options.onLost }),
  });
  try {
    socket.join(GROUP.new);
    if (options.onEnd !== undefined) socket.join(GROUP.destroy);
  } catch (error) {
    socket.close();
    const mend = 'run as root or with CAP_NET_ADMIN; the module nf_conntrack_netlink must be there';
    throw new FirewallError('watch connections', 'NOT_PERMITTED', mend, { cause: error });
  }
  return { close: () => socket.close() };
}

async function entriesFrom(
  socket: NetfilterSocket,
  family: Family,
  sources: readonly Cidr[],
): Promise<readonly Entry[]> {
  const answer = await socket.request(listMessage(family));
  if (!answer.ok) throw errorOf('list the connections', answer.refusal.errno);
  return answer.messages.flatMap((message) => {
    const entry = readEntry(message.payload);
    return entry !== undefined && sources.some((source) => contains(source, entry.source)) ? [entry] : [];
  });
}

function eventsAreOff(): boolean {
  try {
    return readFileSync(EVENTS_SWITCH, 'utf8').trim() === '0';
  } catch {
    return false;
  }
}

function errorOf(operation: string, errno: number): FirewallError {
  return errno === EPERM
    ? new FirewallError(operation, 'NOT_PERMITTED', 'run as root or with CAP_NET_ADMIN')
    : new FirewallError(operation, `ERRNO_${errno}`, 'load the module nf_conntrack_netlink');
}
