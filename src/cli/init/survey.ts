import { existsSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { systemTrust } from '../../machine/clock-trust.ts';
import type { InputDefaults } from '../../machine/input-default.ts';
import type { Listener } from '../../machine/listeners.ts';
import { lookAtMachine } from '../../machine/look.ts';
import { onLink } from '../../machine/on-link.ts';
import { findPeers } from '../../machine/peers.ts';
import { readText, runningPrograms } from '../../machine/proc.ts';
import { formatAddress, parseAddress, unmapped } from '../../packet/address.ts';
import { contains, formatCidr, parseCidr } from '../../packet/cidr.ts';
import { formatPort, isPort, parsePortRange } from '../../packet/port.ts';
import { EPHEMERAL_FIRST } from '../../policy/limits.ts';

/** What is on this machine that bears on a first configuration. */
export interface Found {
  readonly interfaces: readonly string[];
  /** Where sshd listens; none: it was not found. */
  readonly ssh: readonly string[];
  /** What listens to packets from elsewhere, sshd among them. */
  readonly services: readonly Service[];
  /** The SSH session in which this runs, or the only one there is. */
  readonly session: Session | null;
  /** Private networks that this machine is in. */
  readonly networks: readonly string[];
  readonly inputDefaults: InputDefaults;
  /** Other programs that guard this machine's ports, and what that means. */
  readonly neighbours: readonly string[];
  readonly clock: 'right' | 'kept' | 'wrong';
  readonly hostname: string;
}

export interface Service {
  /** `443/tcp`. */
  readonly port: string;
  /** Empty: unknown. */
  readonly program: string;
}

export interface Session {
  /** Who is at the other end. */
  readonly client: string;
  /** What they call this machine. Null: unknown. */
  readonly server: string | null;
  /** The port of it. Null: unknown. */
  readonly port: string | null;
}

/** Programs that serve SSH. */
const SSH_SERVERS: readonly string[] = ['sshd', 'sshd-session', 'dropbear', 'tinysshd'];
const SSH_PORT = '22/tcp';
/** Where DHCP clients receive: never closed. */
const DHCP_CLIENT: readonly number[] = [68, 546];
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];
/** Interfaces behind which machines of this machine are, not people. */
const INNER = /^(?:docker|br-|veth|virbr|cni|flannel|cali|lxc|lxd|podman)/;
/** Ancestors of this process that are asked for their environment. */
const ANCESTORS_MAX = 64;

/** What is beside us: a running program's name, or a file that is there while it is in force. */
const NEIGHBOURS: readonly {
  readonly name: string;
  readonly programs: readonly string[];
  readonly is?: (root: string) => boolean;
  readonly means: string;
}[] = [
  {
    name: 'ufw',
    programs: [],
    is: (root) => /^ENABLED=yes/m.test(readText(`${root}etc/ufw/ufw.conf`)),
    means: 'its rules stay; nfknock stands before them',
  },
  {
    name: 'firewalld',
    programs: ['firewalld'],
    means: 'its zones stay, and decide on what nfknock leaves alone',
  },
  {
    name: 'Docker',
    programs: ['dockerd'],
    means: 'ports that it publishes never pass INPUT: a door for one names the container (`forward`)',
  },
  { name: 'fail2ban', programs: ['fail2ban-server'], means: 'its bans go on holding' },
  { name: 'CrowdSec', programs: ['crowdsec'], means: 'its bans go on holding' },
  {
    name: 'nftables',
    programs: [],
    is: (root) => existsSync(`${root}etc/systemd/system/sysinit.target.wants/nftables.service`),
    means: '/etc/nftables.conf is loaded at boot; nfknock is put in again after it',
  },
  {
    name: 'netfilter-persistent',
    programs: [],
    is: (root) =>
      existsSync(`${root}etc/systemd/system/multi-user.target.wants/netfilter-persistent.service`),
    means: 'saved rules are loaded at boot; nfknock is put in again after them',
  },
];

export async function survey(): Promise<Found> {
  const { interfaces, inputDefaults, listeners } = await lookAtMachine();
  const services = servicesOf(listeners);
  const session = sessionOf(process.env, process.ppid) ?? onlyPeer(services);
  const ssh = sshPorts(services, session);
  const synchronised = systemTrust.synchronised();
  return {
    interfaces: interfaces.map(({ name }) => name).filter((name) => name !== 'lo'),
    ssh,
    services,
    session,
    networks: privateNetworks(),
    inputDefaults,
    neighbours: neighbours(runningPrograms()),
    clock: synchronised ? 'right' : systemTrust.hasRtc() ? 'kept' : 'wrong',
    hostname: hostname(),
  };
}

/** Sockets that a stranger may be meant to reach, each port once. What is open only to get an answer is left out. */
export function servicesOf(listeners: readonly Listener[]): readonly Service[] {
  const found = new Map<string, Service>();
  for (const { protocol, port, process } of listeners) {
    if (protocol === 'udp' && (DHCP_CLIENT.includes(port) || port >= EPHEMERAL_FIRST)) continue;
    if (!isPort(port)) continue;
    const text = formatPort({ port, protocol });
    const program = process?.name ?? found.get(text)?.program ?? '';
    found.set(text, { port: text, program });
  }
  return [...found.values()].sort((a, b) => Number.parseInt(a.port, 10) - Number.parseInt(b.port, 10));
}

/** Where sshd is: by its name, by the session's own port, or by the usual port when something listens there. */
export function sshPorts(services: readonly Service[], session: Session | null): readonly string[] {
  const named = services
    .filter(({ port, program }) => port.endsWith('/tcp') && SSH_SERVERS.includes(program))
    .map(({ port }) => port);
  const used = session?.port ?? null;
  if (used !== null && !named.includes(used) && services.some(({ port }) => port === used)) named.push(used);
  if (named.length > 0) return named;
  return services.some(({ port }) => port === SSH_PORT) ? [SSH_PORT] : [];
}

/**
 * The SSH session that this runs in. sudo and su take the variable out, so the processes above are asked for theirs.
 */
export function sessionOf(
  environment: Readonly<Record<string, string | undefined>>,
  parent: number,
): Session | null {
  const own = parseSession(environment['SSH_CONNECTION']);
  if (own !== null) return own;
  let pid = parent;
  for (let turn = 0; turn < ANCESTORS_MAX && pid > 1; turn += 1) {
    const entry = readText(`/proc/${pid}/environ`)
      .split('\0')
      .find((each) => each.startsWith('SSH_CONNECTION='));
    const found = parseSession(entry?.slice('SSH_CONNECTION='.length));
    if (found !== null) return found;
    pid = Number(/^PPid:\s*(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return null;
}

/** `CLIENT PORT SERVER PORT`, as sshd says it. */
export function parseSession(text: string | undefined): Session | null {
  const [client = '', , server = '', port = ''] = text?.trim().split(/\s+/) ?? [];
  const [from, to] = [addressOf(client), addressOf(server)];
  if (from === undefined) return null;
  return { client: from, server: to ?? null, port: isPort(Number(port)) ? `${Number(port)}/tcp` : null };
}

/** Where nothing says whose session this is, and one host alone has any. */
function onlyPeer(services: readonly Service[]): Session | null {
  const ranges = sshPorts(services, null).flatMap((text) => parsePortRange(text) ?? []);
  const peers = new Set(findPeers(ranges).map((address) => formatAddress(address)));
  const [client] = peers;
  return client === undefined || peers.size > 1 ? null : { client, server: null, port: null };
}

function addressOf(text: string): string | undefined {
  const address = parseAddress(text.split('%')[0] ?? '');
  return address === undefined ? undefined : formatAddress(unmapped(address));
}

function privateNetworks(): readonly string[] {
  const all = networkInterfaces();
  const outer = Object.fromEntries(Object.entries(all).filter(([name]) => !INNER.test(name)));
  return onLink(outer)
    .filter(({ address }) =>
      PRIVATE.some((text) => {
        const range = parseCidr(text);
        return range !== undefined && contains(range, address);
      }),
    )
    .map(formatCidr);
}

/** What is beside us, each with what it means. */
export function neighbours(programs: ReadonlySet<string>, root = '/'): readonly string[] {
  return NEIGHBOURS.filter(
    (each) => each.programs.some((name) => programs.has(name)) || each.is?.(root) === true,
  ).map(({ name, means }) => `${name}: ${means}`);
}
