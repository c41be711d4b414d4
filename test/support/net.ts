import { execFileSync, spawnSync } from 'node:child_process';
import { atEnd } from './cleanup.ts';
import { type Agent, startAgent } from './client.ts';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { execute, type Result, type RunOptions, startProcess } from './process.ts';

/*
 *   client A                            server                            client B
 *   192.0.2.0/24       eth0 ─── toA     192.0.2.1                         198.51.100.0/24
 *   2001:db8:a::/48                     2001:db8:a::1
 *                                       198.51.100.1     toB ─── eth0     2001:db8:b::/48
 *                                       2001:db8:b::1
 *
 * Neighbours are entered by hand, so no first packet waits for an address to be resolved. A client takes a
 * fresh address, and over IPv6 a fresh /64, for each test, so that tests share a daemon and not a history.
 */

export interface Net {
  readonly server: Server;
  readonly clientA: Client;
  readonly clientB: Client;
  /** Ends every process in the namespaces and removes them; may be called twice. */
  close(): void;
}

export interface Host {
  readonly namespace: string;
  /** Runs a command in the namespace to its end. */
  exec(argv: readonly string[], options?: RunOptions): Promise<Result>;
}

export interface Server extends Host {
  startDaemon(config: object, options?: DaemonOptions): Promise<Daemon>;
  /** A TCP service on both families that sends back what it gets. */
  listen(port: number): Promise<void>;
}

export interface Client extends Host, Agent {
  /** The server's addresses as seen from here. */
  readonly server4: string;
  readonly server6: string;
  /** The addresses that it sends from. */
  source(): Source;
  /** Takes new addresses and sends from them from now on. */
  moveToFreshSource(): Promise<Source>;
  /** Takes this address too and sends from it from now on. */
  addAddress(address: string): Promise<void>;
}

export interface Source {
  readonly v4: string;
  readonly v6: string;
  /** The /64 that the IPv6 address is in. */
  readonly v6Network: string;
}

const SERVER_MAC = '02:00:00:00:00:01';
const CLIENT_MAC = '02:00:00:00:00:02';
/** Milliseconds that a service may take until it listens. */
const LISTEN_TIMEOUT = 5_000;

let made = 0;

/** Of namespaces that belong together. The run's name lets scripts/test.sh sweep up after a run that was killed outright. */
export function namespacePrefix(): string {
  made += 1;
  return `nfkh${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}-${made}`;
}

/** Makes the topology. It is removed by `close`, and at the latest when this process ends. */
export async function createNet(): Promise<Net> {
  const prefix = namespacePrefix();
  const names = { server: `${prefix}s`, a: `${prefix}a`, b: `${prefix}b` };
  const removals = Object.values(names).map(addNamespace);
  join(names.server, names.a, 'toA', '192.0.2', 'a');
  join(names.server, names.b, 'toB', '198.51.100', 'b');
  const clientA = await clientOf(names.a, names.server, 'toA', '192.0.2', 'a');
  const clientB = await clientOf(names.b, names.server, 'toB', '198.51.100', 'b');
  await clientA.moveToFreshSource();
  await clientB.moveToFreshSource();
  const close = (): void => {
    for (const remove of removals) remove();
  };
  return { server: serverOf(names.server), clientA, clientB, close };
}

export function serverOf(namespace: string): Server {
  return {
    namespace,
    exec: (argv, options) => execute(namespace, argv, options),
    startDaemon: (config, options) => startDaemon(namespace, config, options),
    listen: async (port) => {
      startProcess(namespace, ['socat', `TCP6-LISTEN:${port},reuseaddr,fork,ipv6only=0`, 'PIPE']);
      const deadline = performance.now() + LISTEN_TIMEOUT;
      while ((await execute(namespace, ['ss', '-Hltn', 'sport', '=', `:${port}`])).stdout === '') {
        if (performance.now() > deadline) throw new Error(`nothing listens on port ${port} of ${namespace}`);
      }
    },
  };
}

async function clientOf(
  namespace: string,
  server: string,
  link: string,
  v4: string,
  v6: string,
): Promise<Client> {
  let taken = 9;
  let source: Source = { v4: '', v6: '', v6Network: '' };
  const add = (address: string): void => {
    const six = address.includes(':');
    const [family, network, bits] = six ? ['-6', `2001:db8:${v6}::/48`, 48] : ['-4', `${v4}.0/24`, 24];
    const more = six ? ['nodad'] : [];
    ip('-n', namespace, 'address', 'add', `${address}/${bits}`, 'dev', 'eth0', ...more);
    knowNeighbour(server, link, address, CLIENT_MAC);
    ip('-n', namespace, family, 'route', 'replace', network, 'dev', 'eth0', 'src', address);
  };
  return {
    ...(await startAgent(namespace)),
    namespace,
    server4: `${v4}.1`,
    server6: `2001:db8:${v6}::1`,
    exec: (argv, options) => execute(namespace, argv, options),
    source: () => source,
    addAddress: async (address) => add(address),
    moveToFreshSource: async () => {
      taken += 1;
      if (taken > 99) throw new Error('no address is left');
      const prefix6 = `2001:db8:${v6}:${taken}::`;
      source = { v4: `${v4}.${taken}`, v6: `${prefix6}10`, v6Network: `${prefix6}/64` };
      add(source.v4);
      add(source.v6);
      return source;
    },
  };
}

/** A cable between the server's interface `link` and the client's `eth0`. */
function join(server: string, client: string, link: string, v4: string, v6: string): void {
  const far = ['peer', 'name', 'eth0', 'address', CLIENT_MAC, 'netns', client];
  ip('-n', server, 'link', 'add', 'name', link, 'address', SERVER_MAC, 'type', 'veth', ...far);
  ip('-n', server, 'address', 'add', `${v4}.1/24`, 'dev', link);
  ip('-n', server, 'address', 'add', `2001:db8:${v6}::1/48`, 'dev', link, 'nodad');
  ip('-n', server, 'link', 'set', 'dev', link, 'up');
  ip('-n', client, 'link', 'set', 'dev', 'eth0', 'up');
  for (const address of [`${v4}.1`, `2001:db8:${v6}::1`]) knowNeighbour(client, 'eth0', address, SERVER_MAC);
}

function knowNeighbour(namespace: string, link: string, address: string, mac: string): void {
  ip('-n', namespace, 'neighbour', 'replace', address, 'lladdr', mac, 'dev', link, 'nud', 'permanent');
}

/** Answers with what removes it. */
export function addNamespace(name: string): () => void {
  ip('netns', 'add', name);
  const remove = atEnd(() => removeNamespace(name));
  // Without these an interface's own addresses are unusable for the second that their probing takes.
  const quick = 'for at in all default; do echo 0 >/proc/sys/net/ipv6/conf/$at/accept_dad; done';
  execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', quick]);
  ip('-n', name, 'link', 'set', 'dev', 'lo', 'up');
  return remove;
}

function removeNamespace(name: string): void {
  const pids = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean);
  for (const pid of pids) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
  spawnSync('ip', ['netns', 'delete', name]);
}

export function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
