import { isSeq, type Node } from 'yaml';
import { parseAddress } from '../packet/address.ts';
import { type EngineAddress, type EngineNode, isLoopback } from '../policy/fleet.ts';
import type { Reading, Spot } from './document.ts';
import type { Kind } from './kind.ts';
import { textOf, type Wanted, wrong } from './read.ts';
import { hasControl } from './value.ts';

/** Sentinels of one list: three are usual, five are many. */
const SENTINELS_MAX = 16;
const SOCKET_PATH_BYTES_MAX = 107;
const SERVER_PORT = 6379;
const SENTINEL_PORT = 26_379;
/** scheme, host or [IPv6], port, the rest. */
const ADDRESS =
  /^(rediss?|sentinel):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::(\d{1,5}))?(\/.*)?$/;
const HOST_CHARACTERS_MAX = 253;
/** As redis.conf's sentinel takes it. */
const MASTER = /^\/[A-Za-z0-9._-]{1,64}$/;

const WANTED: Wanted = {
  noun: "the address of the fleet's engine",
  form: 'rediss://HOST:6379, redis://127.0.0.1:6379 or unix:/run/redis/redis.sock; for Sentinels a list such as [sentinel://HOST:26379/NAME]',
};

type Part = Extract<EngineAddress, { kind: 'server' | 'socket' }> | Sentinel;
type Sentinel = { readonly kind: 'sentinel'; readonly master: string } & EngineNode;

/** Redis or Valkey, by TLS unless it is this machine. */
export const engineAddress: Kind<EngineAddress> = {
  takes:
    '`rediss://HOST:6379`, `redis://` to 127.0.0.1 or [::1], `unix:/run/redis/redis.sock`, or a list of `sentinel://HOST:26379/NAME`',
  schema: {
    anyOf: [
      { type: 'string', pattern: '^(rediss?://.|sentinel://.|unix:/.)' },
      {
        type: 'array',
        items: { type: 'string', pattern: '^sentinel://.' },
        minItems: 1,
        maxItems: SENTINELS_MAX,
      },
    ],
  },
  read: (node, spot, reading) =>
    isSeq(node) ? readList(node.items as Node[], spot, reading) : readOne(node, spot, reading),
};

function readOne(node: Node | null, spot: Spot, reading: Reading): EngineAddress | undefined {
  const part = readPart(node, spot, reading);
  return part?.kind === 'sentinel' ? sentinelsOf([part]) : part;
}

function readList(items: readonly Node[], spot: Spot, reading: Reading): EngineAddress | undefined {
  if (items.length === 0 || items.length > SENTINELS_MAX) {
    const problem = items.length === 0 ? 'the list is empty' : `the list has ${items.length} items`;
    reading.fault(
      spot,
      problem,
      `expected 1 to ${SENTINELS_MAX} Sentinels, for example [sentinel://HOST:26379/NAME]`,
    );
    return undefined;
  }
  const found: Sentinel[] = [];
  for (const [index, each] of items.entries()) {
    const place = { at: (each as Node | null)?.range?.[0] ?? spot.at, key: `${spot.key}[${index}]` };
    const part = readPart(reading.resolve(each as Node | null), place, reading);
    if (part === undefined) continue;
    if (part.kind !== 'sentinel') {
      reading.fault(
        place,
        'this is not a Sentinel, and only those are listed',
        'write sentinel://HOST:26379/NAME, or one address without a list',
      );
    } else if (found[0] !== undefined && found[0].master !== part.master) {
      reading.fault(
        place,
        `this Sentinel is asked for another server than the first (${found[0].master})`,
        'write one NAME in all of them',
      );
    } else found.push(part);
  }
  return found.length === items.length ? sentinelsOf(found) : undefined;
}

function sentinelsOf(sentinels: readonly Sentinel[]): EngineAddress {
  const nodes = sentinels.map(({ host, port }) => ({ host, port }));
  const tls = !nodes.every(({ host }) => isLoopback(host));
  return { kind: 'sentinels', tls, nodes, master: sentinels[0]?.master ?? '' };
}

function readPart(node: Node | null, spot: Spot, reading: Reading): Part | undefined {
  const text = textOf(node);
  if (text === undefined) return wrong(node, spot, reading, WANTED);
  // Said before anything repeats the text: there may be a password in it.
  if (/^[A-Za-z]+:\/\/[^/]*@/.test(text)) {
    reading.fault(
      spot,
      'the address holds a user or a password',
      'leave them out: the user is fleet.name, and the password stands in the file fleet.password',
    );
    return undefined;
  }
  const part = text.startsWith('unix:') ? socketOf(text.slice(5)) : nodeOf(text);
  if (typeof part === 'object') return part;
  return wrong(node, spot, reading, { ...WANTED, meant: part });
}

/** A text says what was probably meant. */
function socketOf(path: string): Part | string {
  const sound = path.startsWith('/') && !path.endsWith('/') && !hasControl(path);
  return sound && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
    ? { kind: 'socket', path }
    : `a socket has an absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes`;
}

function nodeOf(text: string): Part | string | undefined {
  const [, scheme, name = '', digits, rest = ''] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined) return text.includes('://') ? undefined : 'begin with rediss:// or unix:';
  const host = name.replace(/^\[|\]$/g, '');
  const numeric = name.startsWith('[') || /^[\d.]+$/.test(host);
  if (host.length > HOST_CHARACTERS_MAX || (numeric && parseAddress(host) === undefined)) return undefined;
  const port = digits === undefined ? (scheme === 'sentinel' ? SENTINEL_PORT : SERVER_PORT) : Number(digits);
  if (port < 1 || port > 65_535) return 'a port is from 1 to 65535';
  if (scheme === 'sentinel')
    return MASTER.test(rest)
      ? { kind: 'sentinel', host, port, master: rest.slice(1) }
      : 'add what the Sentinels call the server: sentinel://HOST:26379/NAME';
  if (rest !== '' && rest !== '/') return 'leave out what follows the port';
  if (scheme === 'redis' && !isLoopback(host))
    return `redis:// is not encrypted, and is taken to this machine alone (127.0.0.1, [::1]): write rediss://${name}:${port}`;
  return { kind: 'server', tls: scheme === 'rediss', host, port };
}
