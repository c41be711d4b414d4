import { readFileSync } from 'node:fs';
import { abortConnection } from '@nfknock/nfqueue';
import type { Address } from '../../packet/address.ts';
import { type Cidr, HOST_BITS, networkOf } from '../../packet/cidr.ts';
import type { Connection, Connections, ConnectionWatch } from '../connections.ts';
import { FirewallError } from '../firewall.ts';
import type { Message } from './attributes.ts';
import {
  bytesOf,
  deleteMessage,
  isUpdate,
  listMessage,
  readConnection,
  sourceOfEntry,
} from './conntrack-message.ts';
import { type NetfilterSocket, openNetfilter } from './socket.ts';

/** NFNLGRP_CONNTRACK_UPDATE of linux/netfilter/nfnetlink.h. */
const UPDATES = 2;
const EPERM = 1;
/** The entry was gone before it could be taken out. */
const ENOENT = 2;
/** 0: no events; 1: always; 2, since Linux 6.0: while somebody listens. */
const EVENTS_SWITCH = '/proc/sys/net/netfilter/nf_conntrack_events';
/** Entries that are taken out in one turn of the event loop: 10 to 20 µs each. */
const DELETED_AT_ONCE = 64;
/**
 * Up to this many hosts are each looked for by the kernel; more, or networks, by reading the table once. IPv4 alone:
 * for an IPv6 address the kernel lists everything but what was asked for (ctnetlink_filter_match_tuple, Linux 5.8 and
 * later).
 */
const FILTERED_MAX = 4;
/**
 * And in a table of up to this many entries: the kernel walks on until it has found enough to fill an answer, or to the
 * table's end, and the loop stands still as long, 0.2 µs an entry. A whole list takes 2 µs an entry, in pieces.
 */
const FILTERED_ENTRIES_MAX = 40_000;
const ENTRIES = '/proc/sys/net/netfilter/nf_conntrack_count';

/** Throws a FirewallError where the kernel gives no socket for it. */
export function openConnections(): Connections {
  const socket = openNetfilter();
  return {
    watch: watchConnections,
    areHidden: eventsAreOff,
    list: (sources, visit) => listConnections(socket, sources, visit),
    end: (connections) => endConnections(socket, connections),
    close: () => socket.close(),
  };
}

/**
 * Ends the connections that these sources began: of this machine's own TCP the socket is ended, and of each the entry
 * is deleted, so that its next packet is a new one. Resolves with how many ended. The table is walked in pieces, and
 * once at most, however many sources there are.
 */
export async function cutConnections(socket: NetfilterSocket, sources: readonly Cidr[]): Promise<number> {
  const found: Connection[] = [];
  await listConnections(socket, sources, (connection) => found.push(connection));
  return endConnections(socket, found);
}

/** One that can't be ended keeps none of the others. Rejects with the first refusal once all were tried. */
async function endConnections(socket: NetfilterSocket, connections: readonly Connection[]): Promise<number> {
  let ended = 0;
  const refusals: unknown[] = [];
  const end = async (connection: Connection): Promise<void> => {
    try {
      // The entry first: what the socket's last packet, a reset, brings back must not find it.
      const answer = await socket.request(deleteMessage(connection.entry));
      if (answer.ok) ended += 1;
      else if (answer.refusal.errno !== ENOENT)
        refusals.push(errorOf('delete a connection', answer.refusal.errno));
    } catch (error) {
      refusals.push(error);
    }
    abort(connection);
  };
  for (let first = 0; first < connections.length; first += DELETED_AT_ONCE)
    await Promise.all(connections.slice(first, first + DELETED_AT_ONCE).map(end));
  if (refusals.length > 0) throw refusals[0];
  return ended;
}

/**
 * A service that speaks before it is spoken to makes conntrack take the connection up again, as one that this machine
 * began, and then every packet of the other side belongs to it: only the end of the socket ends it. Where the service
 * is on another machine there is none here, and nothing happens.
 */
function abort({ protocol, source, sourcePort, host, port }: Connection): void {
  if (protocol !== 'tcp') return;
  abortConnection(bytesOf(host), port, bytesOf(source), sourcePort);
}

async function listConnections(
  socket: NetfilterSocket,
  sources: readonly Cidr[],
  visit: (connection: Connection) => void,
): Promise<void> {
  if (sources.length === 0) return;
  const isMine = networkSet(sources);
  const take = ({ payload }: Message): void => {
    const source = sourceOfEntry(payload);
    const connection = source !== undefined && isMine(source) ? readConnection(payload) : undefined;
    if (connection !== undefined) visit(connection);
  };
  for (const filter of filtersOf(sources)) {
    const answer = await socket.request(listMessage(filter), take);
    if (!answer.ok) throw errorOf('list the connections', answer.refusal.errno);
  }
}

/** What the kernel is asked for: each of a few hosts in a small table, or everything, once. */
function filtersOf(sources: readonly Cidr[]): readonly (Address | undefined)[] {
  const few =
    sources.length <= FILTERED_MAX && sources.every(isHost4) && entriesOfTable() <= FILTERED_ENTRIES_MAX;
  return few ? sources.map(({ address }) => address) : [undefined];
}

function isHost4({ address: { family }, bits }: Cidr): boolean {
  return family === 4 && bits === HOST_BITS[4];
}

/** Of this network namespace. */
function entriesOfTable(): number {
  try {
    return Number(readFileSync(ENTRIES, 'utf8'));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether an address is in one of the networks, at a cost that does not grow with their number. */
function networkSet(networks: readonly Cidr[]): (address: Address) => boolean {
  const byBits = new Map<number, Set<string | number>>();
  for (const { address, bits } of networks) {
    const keys = byBits.get(bits) ?? new Set();
    byBits.set(bits, keys.add(keyOf(address, bits)));
  }
  return (address) => {
    for (const [bits, keys] of byBits) if (keys.has(keyOf(address, bits))) return true;
    return false;
  };
}

function keyOf(address: Address, bits: number): string | number {
  if (address.family === 4 && bits === HOST_BITS[4]) return address.a;
  const { a, b, c, d } = networkOf(address, bits).address;
  return address.family === 4 ? a : `${a} ${b} ${c} ${d}`;
}

function watchConnections(
  onConnection: (connection: Connection) => void,
  onLost: (count: number) => void,
): ConnectionWatch {
  const socket = openNetfilter({
    onEvent: ({ type, payload }) => {
      const connection = isUpdate(type) ? readConnection(payload) : undefined;
      if (connection?.assured === true && connection.established) onConnection(connection);
    },
    onOverrun: onLost,
  });
  try {
    socket.join(UPDATES);
  } catch (error) {
    socket.close();
    const fix = 'run as root or with CAP_NET_ADMIN; the module nf_conntrack_netlink must be there';
    throw new FirewallError('watch connections', 'NOT_PERMITTED', fix, { cause: error });
  }
  return { close: () => socket.close() };
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
