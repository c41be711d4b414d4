import { type EngineAddress, type EngineNode, isLoopback, type NamedServers } from '../policy/fleet.ts';
import { messageOf } from '../text/error.ts';
import { type Connection, connect, type Reply } from './redis-connect.ts';

/* Sentinels: whom they name. They are asked without a login. */

type Sentinels = Extract<EngineAddress, { kind: 'sentinels' }>;

/** More than anybody has: a list without end is not believed. */
const SERVERS_MAX = 64;

/** The server to connect to now: of Sentinels, the first that knows one. Rejects where none does. */
export async function findServer(
  address: EngineAddress,
  ca: string | null,
): Promise<Extract<EngineAddress, { kind: 'server' | 'socket' }>> {
  if (address.kind !== 'sentinels') return address;
  const reasons: string[] = [];
  for (const node of address.nodes) {
    try {
      const found = await withSentinel(node, address, ca, (sentinel) => askPrimary(sentinel, address));
      return { kind: 'server', tls: address.tls, ...found };
    } catch (error) {
      reasons.push(`${node.host}: ${messageOf(error)}`);
    }
  }
  throw new Error(`no Sentinel names the server ${address.master} (${reasons.join('; ')})`);
}

/** The servers that any of these Sentinels names. All are asked, since one may have been away when a replica came. */
export async function findServers(address: Sentinels, ca: string | null): Promise<NamedServers> {
  const answers = await Promise.allSettled(
    address.nodes.map((node) => withSentinel(node, address, ca, (sentinel) => askAll(sentinel, address))),
  );
  const hosts = new Set(answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : [])));
  const reasons = answers.flatMap((answer, at) =>
    answer.status === 'rejected' ? [`${address.nodes[at]?.host}: ${messageOf(answer.reason)}`] : [],
  );
  return { hosts: [...hosts].sort(), silence: hosts.size > 0 ? null : reasons.join('; ') };
}

async function withSentinel<T>(
  node: EngineNode,
  { tls }: Sentinels,
  ca: string | null,
  ask: (sentinel: Connection) => Promise<T>,
): Promise<T> {
  // What goes wrong while it is asked is what the question is answered with.
  const sentinel = await connect({ kind: 'server', tls, ...node }, null, ca, () => undefined);
  try {
    return await ask(sentinel);
  } finally {
    sentinel.close();
  }
}

async function askPrimary(sentinel: Connection, { tls, master }: Sentinels): Promise<EngineNode> {
  const found = await sentinel.send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master]);
  const [host, port] = Array.isArray(found) ? found.map(String) : [];
  if (host === undefined || !isHost(host) || !/^\d{1,5}$/.test(port ?? ''))
    throw new Error('it knows no such server');
  if (!tls && !isLoopback(host))
    throw new Error(`it names ${host}, which is another host, and this is not encrypted`);
  return { host, port: Number(port) };
}

async function askAll(sentinel: Connection, of: Sentinels): Promise<readonly string[]> {
  const primary = await askPrimary(sentinel, of);
  const said = await sentinel.send(['SENTINEL', 'REPLICAS', of.master]);
  const replicas = (Array.isArray(said) ? said : []).map(hostOf);
  // Who is not there now may be the primary once it is back.
  const hosts = replicas.filter((host) => isHost(host) && (of.tls || isLoopback(host)));
  if (hosts.length >= SERVERS_MAX) throw new Error(`it names more than ${SERVERS_MAX} servers`);
  return [primary.host, ...hosts];
}

/** What is said of a replica: names and values, as a record by RESP 3. */
function hostOf(replica: Reply): string {
  if (replica instanceof Map) return `${replica.get('ip') ?? ''}`;
  if (typeof replica !== 'object' || replica === null || !('ip' in replica)) return '';
  return `${replica.ip}`;
}

function isHost(text: string): boolean {
  return /^[0-9A-Za-z.:-]{1,253}$/.test(text);
}
