import { readLines, TABLE_BYTES_MAX } from '../../files/lines.ts';
import { type Address, ipv4, ipv6, isLoopback, unmapped } from '../../packet/address.ts';
import { createEstablishedMessage } from './conntrack-message.ts';
import { type NetfilterSocket, openNetfilter } from './socket.ts';

/** ESTABLISHED, CLOSE_WAIT and LISTEN of include/net/tcp_states.h. */
const OPEN: readonly string[] = ['01', '08'];
const LISTENING = '0A';
const TABLES: readonly string[] = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** Entries that are made in one turn of the event loop: some 10 µs each. */
const MADE_AT_ONCE = 64;

/** A TCP connection of this machine's own. */
export interface Session {
  /** Who began it. */
  readonly source: Address;
  readonly sourcePort: number;
  readonly host: Address;
  readonly port: number;
}

/**
 * Where no rule asked for the state of connections until now the kernel knows of none, and the next packet of an open
 * session would seem to begin a new one: whoever installs the rules from afar would shut himself out. Of what the
 * machine's own sockets have open an entry is made, as if it had been tracked all along; one that is there stays as it
 * is. What can't be done is left: it costs such a session, and no rule.
 */
export async function adoptSessions(given?: NetfilterSocket): Promise<void> {
  try {
    const rows: Row[] = [];
    for (const table of TABLES)
      await readLines(table, TABLE_BYTES_MAX, (lines) => void rows.push(...rowsIn(lines)));
    const served = servedBy(rows);
    const socket = given ?? openNetfilter();
    try {
      for (let first = 0; first < rows.length; first += MADE_AT_ONCE) {
        const some = sessionsOf(rows.slice(first, first + MADE_AT_ONCE), served);
        await Promise.all(some.map((session) => socket.request(createEstablishedMessage(session))));
      }
    } finally {
      if (given === undefined) socket.close();
    }
  } catch {
    // No room, no right, no connection tracking: the rules are in all the same.
  }
}

/** A line of a table of /proc/net: a listener, or a connection that is open. */
interface Row {
  readonly here: End;
  readonly there: End;
  readonly state: string;
}

/** Of lines of a table of /proc/net, `sl local_address rem_address st …`, the listeners and open connections. */
export function rowsIn(lines: readonly string[]): readonly Row[] {
  return lines.flatMap((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/, 4);
    if (state !== LISTENING && !OPEN.includes(state)) return [];
    const [here, there] = [endOf(local), endOf(remote)];
    return here === undefined || there === undefined ? [] : [{ here, there, state }];
  });
}

/** The ports on which somebody listens. */
export function servedBy(rows: readonly Row[]): ReadonlySet<number> {
  return new Set(rows.flatMap(({ here, state }) => (state === LISTENING ? [here.port] : [])));
}

/** The open connections with other machines. */
export function sessionsOf(rows: readonly Row[], served: ReadonlySet<number>): readonly Session[] {
  return rows
    .filter(({ here, state }) => OPEN.includes(state) && !isLoopback(here.address))
    .map(({ here, there }) => {
      const [from, to] = served.has(here.port) ? [there, here] : [here, there];
      return { source: from.address, sourcePort: from.port, host: to.address, port: to.port };
    });
}

interface End {
  readonly address: Address;
  readonly port: number;
}

function endOf(text: string): End | undefined {
  const [host = '', port = ''] = text.split(':');
  const address = addressOf(host);
  return address === undefined || !/^[0-9A-F]{4}$/.test(port)
    ? undefined
    : { address, port: Number.parseInt(port, 16) };
}

/** The kernel writes each 32 bits of an address as a number of this machine, of which all are little-endian here. */
function addressOf(text: string): Address | undefined {
  if (!/^(?:[0-9A-F]{8}|[0-9A-F]{32})$/.test(text)) return undefined;
  const [a = 0, b, c, d] = (text.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').readInt32LE(0));
  return b === undefined || c === undefined || d === undefined ? ipv4(a) : unmapped(ipv6(a, b, c, d));
}
