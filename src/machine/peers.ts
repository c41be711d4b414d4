import { type Address, ipv4, ipv6, unmapped } from '../packet/address.ts';
import type { PortRange } from '../packet/port.ts';
import { readText, rowsOf } from './proc.ts';

/** ESTABLISHED of include/net/tcp_states.h. */
const ESTABLISHED = '01';

/** Who is connected now to a TCP port of this machine that is one of these. */
export function findPeers(ports: readonly PortRange[]): readonly Address[] {
  return ['/proc/self/net/tcp', '/proc/self/net/tcp6'].flatMap((file) => peersIn(readText(file), ports));
}

/** The same of a table of /proc/net: `sl local_address rem_address st …`. */
export function peersIn(table: string, ports: readonly PortRange[]): readonly Address[] {
  return rowsOf(table).flatMap(([, local = '', remote = '', state]): readonly Address[] => {
    const port = Number.parseInt(local.split(':')[1] ?? '', 16);
    const isMeant = ports.some(
      ({ protocol, first, last }) => protocol === 'tcp' && port >= first && port <= last,
    );
    return state === ESTABLISHED && isMeant ? (addressOf(remote.split(':')[0] ?? '') ?? []) : [];
  });
}

/** The kernel writes each 32 bits of an address as a number of this machine, of which all are little-endian here. */
function addressOf(text: string): Address[] | undefined {
  const [a, b, c, d] = (text.match(/[0-9A-F]{8}/g) ?? []).map((word) =>
    Buffer.from(word, 'hex').readInt32LE(0),
  );
  if (a === undefined) return undefined;
  if (b === undefined || c === undefined || d === undefined) return [ipv4(a)];
  return [unmapped(ipv6(a, b, c, d))];
}
