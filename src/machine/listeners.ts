import { TABLE_BYTES_MAX } from '../files/lines.ts';
import type { Family } from '../packet/address.ts';
import type { Protocol } from '../packet/port.ts';
import { holdersOf, linesOf, type Process, rowsOf } from './proc.ts';

/** A socket that serves everyone: a TCP listener, or a UDP socket that is connected to nobody. */
export interface Listener {
  readonly protocol: Protocol;
  readonly port: number;
  /** Families of which packets reach it: an IPv6 socket that is bound to all addresses has IPv4 too. */
  readonly families: readonly Family[];
  /** Null: unknown, since another user's. */
  readonly process: Process | null;
}

/** States of include/net/tcp_states.h: LISTEN of TCP, and what an unconnected UDP socket is in. */
const STATE: Readonly<Record<Protocol, string>> = { tcp: '0A', udp: '07' };
/** Loopback's addresses as /proc writes them: 127.0.0.0/8 in little-endian, ::1 in four words of that. */
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F)$/;
const ALL_SIX = '0'.repeat(32);

interface Bound {
  readonly protocol: Protocol;
  readonly port: number;
  readonly families: readonly Family[];
  readonly inode: string;
}

/**
 * The sockets of this network namespace that packets from elsewhere reach: those of loopback are left out. The kernel
 * lists each connection beside them, of which anybody may open as many as the machine takes.
 */
export async function findListeners(): Promise<readonly Listener[]> {
  const bound = [
    ...boundOf(await serving('tcp', ''), 'tcp', 4),
    ...boundOf(await serving('tcp', '6'), 'tcp', 6),
    ...boundOf(await serving('udp', ''), 'udp', 4),
    ...boundOf(await serving('udp', '6'), 'udp', 6),
  ];
  const holders = await holdersOf(new Set(bound.map(({ inode }) => inode)));
  return bound.map(({ inode, ...each }) => ({ ...each, process: holders.get(inode) ?? null }));
}

/** Of a table of /proc/net the lines of sockets that serve everyone. */
function serving(protocol: Protocol, six: '' | '6'): Promise<string> {
  const isServing = (line: string): boolean => line.includes(` ${STATE[protocol]} `);
  return linesOf(`/proc/self/net/${protocol}${six}`, TABLE_BYTES_MAX, isServing).catch(() => '');
}

/** What a table of /proc/net lists: `sl local_address rem_address st … inode`. */
export function boundOf(table: string, protocol: Protocol, family: Family): readonly Bound[] {
  return rowsOf(table).flatMap(([, local = '', , state, , , , , , inode = '']): readonly Bound[] => {
    const [address = '', port = ''] = local.split(':');
    if (state !== STATE[protocol] || LOOPBACK.test(address)) return [];
    const number = Number.parseInt(port, 16);
    if (!(number > 0)) return [];
    return [{ protocol, port: number, families: familiesOf(address, family), inode }];
  });
}

/** Whether a socket of all addresses has IPv4 too is not written there; nearly all have. */
function familiesOf(address: string, family: Family): readonly Family[] {
  if (family === 4 || address.startsWith('0000000000000000FFFF0000')) return [4];
  return address === ALL_SIX ? [4, 6] : [6];
}
