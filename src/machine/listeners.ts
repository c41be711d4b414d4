import type { Family } from '../packet/address.ts';
import type { Protocol } from '../packet/port.ts';
import { holdersOf, type Process, readText, rowsOf } from './proc.ts';

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

/** The sockets of this network namespace that packets from elsewhere reach: those of loopback are left out. */
export function findListeners(): readonly Listener[] {
  const protocols: readonly Protocol[] = ['tcp', 'udp'];
  const bound = protocols.flatMap((protocol) => [
    ...boundOf(readText(`/proc/self/net/${protocol}`), protocol, 4),
    ...boundOf(readText(`/proc/self/net/${protocol}6`), protocol, 6),
  ]);
  const holders = holdersOf(new Set(bound.map(({ inode }) => inode)));
  return bound.map(({ inode, ...each }) => ({ ...each, process: holders.get(inode) ?? null }));
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
