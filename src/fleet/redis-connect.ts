import { createClient, ErrorReply, RESP_TYPES } from '@redis/client';
import type { EngineAddress } from '../policy/fleet.ts';
import { messageOf } from '../text/error.ts';

/** How long an engine may take to answer a connection, and a login, in milliseconds. */
const CONNECT_MS = 3_000;
/** A connection on which nothing at all moves, as at a login that is not answered. */
const IDLE_MS = 5_000;
/** Requests that wait: more are refused at once, so that a slow engine costs no memory without bound. */
const QUEUE_MAX = 8_192;
/** Before it keys had no selectors in their access rules. */
const OLDEST = [7, 0] as const;
/** Since then it says when a write is on the disk. */
const WAITAOF_SINCE = [7, 2] as const;

export interface Credentials {
  readonly name: string;
  readonly password: string;
  /** PEM; null: the authorities that Node.js knows. */
  readonly ca: string | null;
}

/** What the engine says of itself. */
export interface EngineFacts {
  /** Another after each start, and after each promotion. */
  readonly run: string;
  readonly version: string;
  readonly isValkey: boolean;
  /** Whether it can be asked to wait until a write is on the disk. */
  readonly waitsForDisk: boolean;
  /** Whether writes go to the disk at all. */
  readonly appendOnly: boolean;
  readonly isPrimary: boolean;
  readonly replicas: number;
}

export type Reply = unknown;

/** One connection to the engine. It ends once, and does not come back. */
export interface Connection {
  /** Blobs of the answer are Buffers with `bytes`. Rejects with what the engine refused, or with how the connection ended. */
  send(args: readonly (string | Buffer)[], answer?: 'text' | 'bytes'): Promise<Reply>;
  /** In one transaction: the answers of all. */
  transact(commands: readonly (readonly (string | Buffer)[])[]): Promise<readonly Reply[]>;
  subscribe(pattern: string, heard: (channel: string, message: Buffer) => void): Promise<void>;
  close(reason?: string): void;
}

/** The engine itself refused: nothing was carried out. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply;
}

/** Rejects with what went wrong. `ended` is called once, where a connection that was there is no more. */
export async function connect(
  address: Extract<EngineAddress, { kind: 'server' | 'socket' }>,
  login: Credentials | null,
  ca: string | null,
  ended: (reason: string) => void,
): Promise<Connection> {
  const client = createClient({
    socket: {
      ...(address.kind === 'socket' ? { path: address.path, tls: false as const } : socketOf(address, ca)),
      connectTimeout: CONNECT_MS,
      socketTimeout: IDLE_MS,
      // Who comes back where, and after how long, is decided in one place, and not here.
      reconnectStrategy: false,
    },
    ...(login === null
      ? {}
      : { username: login.name, password: login.password, name: `nfknock-${login.name}` }),
    RESP: 3,
    // Members' rights have no CLIENT SETINFO, which Redis 7.0 does not know.
    disableClientInfo: true,
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    commandsQueueMaxLength: QUEUE_MAX,
  });
  let reason: string | undefined;
  let isConnected = false;
  const end = (why: string): void => {
    if (reason !== undefined) return;
    reason = why;
    if (isConnected) ended(why);
  };
  client.on('error', (error: unknown) => end(messageOf(error)));
  client.on('end', () => end('closed'));
  try {
    await client.connect();
  } catch (error) {
    client.destroy();
    throw error;
  }
  isConnected = true;
  return {
    send: (args, answer = 'text') =>
      client.sendCommand(
        args,
        answer === 'bytes' ? { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } : {},
      ),
    async transact(commands) {
      const multi = client.multi();
      for (const command of commands) multi.sendCommand([...command]);
      return (await multi.exec()) as readonly Reply[];
    },
    subscribe: (pattern, heard) =>
      client.pSubscribe(
        pattern,
        (message: Buffer, channel: Buffer) => heard(channel.toString('latin1'), message),
        true,
      ),
    close(why = 'closed here') {
      end(why);
      client.destroy();
    },
  };
}

function socketOf(
  { host, port, tls }: Extract<EngineAddress, { kind: 'server' }>,
  ca: string | null,
): {
  readonly host: string;
  readonly port: number;
  readonly tls?: true;
  readonly ca?: string;
  readonly servername?: string;
} {
  if (!tls) return { host, port };
  // An address can't be asked for by SNI; the certificate must have it all the same.
  const named = /[a-z]/i.test(host) && !host.includes(':') ? { servername: host } : {};
  return { host, port, tls: true, ...named, ...(ca === null ? {} : { ca }) };
}

/** Rejects where the engine is too old, or is not the one that takes writes. */
export async function askFacts(connection: Connection): Promise<EngineFacts> {
  const facts = factsOf(String(await connection.send(['INFO', 'server', 'replication', 'persistence'])));
  if (!isSince(facts.version, OLDEST))
    throw new Error(`the engine is version ${facts.version}, and 7.0 is the oldest that is taken`);
  if (!facts.isPrimary) throw new Error('the engine is a replica, which takes no writes');
  return facts;
}

export function factsOf(info: string): EngineFacts {
  const said = new Map(
    info.split(/\r?\n/).flatMap((line): (readonly [string, string])[] => {
      const at = line.indexOf(':');
      return at < 1 || line.startsWith('#') ? [] : [[line.slice(0, at), line.slice(at + 1).slice(0, 128)]];
    }),
  );
  const get = (key: string): string => said.get(key) ?? '';
  const compatible = get('redis_version');
  return {
    run: `${get('run_id')}/${get('master_replid')}`,
    version: get('valkey_version') || compatible,
    isValkey: get('server_name') === 'valkey',
    waitsForDisk: isSince(compatible, WAITAOF_SINCE),
    appendOnly: get('aof_enabled') === '1',
    isPrimary: get('role') === 'master',
    replicas: Number(get('connected_slaves') || 0),
  };
}

function isSince(version: string, [major, minor]: readonly [number, number]): boolean {
  const [first = 0, second = 0] = version.split('.').map(Number);
  return first > major || (first === major && second >= minor);
}
