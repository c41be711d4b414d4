import { getServers } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { readText } from '../machine/proc.ts';
import { type Address, formatAddress, parseAddress } from '../packet/address.ts';
import { type Cidr, contains, parseCidr } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import { type NamedServers, NO_SERVERS } from '../policy/fleet.ts';
import { staleLines } from './drop-in.ts';
import { type Finding, fault, warning } from './finding.ts';
import { DROP_IN, type Unit, type Walls } from './unit.ts';

/** What of the configuration talks over the network, and with whom. */
interface Talk {
  readonly key: string;
  readonly address: Address;
  /** What comes of it where it can't. */
  readonly loss: string;
}

/** systemd's words for networks (systemd.resource-control). */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  any: ['0.0.0.0/0', '::/0'],
  localhost: ['127.0.0.0/8', '::1/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/64'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
};

/** What names of hosts stand for. */
export interface Names {
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
  /** Who is asked for those that no file of this machine knows. */
  readonly servers: readonly Address[];
  /** What Sentinels of the configuration name. */
  readonly named: NamedServers;
}

const NO_NAMES: Names = { addresses: new Map(), servers: [], named: NO_SERVERS };
const APART = 'this member is apart from its fleet, and one-time doors stay shut';

/** Addresses that the unit's walls keep from the daemon, and those that nfknock's drop-in lets through for nothing. */
export function ofWalls(
  config: Config,
  walls: Walls | undefined,
  names: Names = NO_NAMES,
  file = '',
): readonly Finding[] {
  if (walls === undefined) return [];
  const { unit, bare, own } = walls;
  const fix = `nfknock doctor --drop-in${file === '' ? '' : ` -c ${file}`}; systemctl restart nfknock`;
  const missing = talksOf(config, names).flatMap(({ key, address, loss }) => {
    const lines = opening(unit, address);
    if (lines.length === 0) return [];
    const settings = lines.map((line) => line.split('=')[0]).join(' and ');
    const problem = `${key}: the unit keeps ${formatAddress(address)} from the daemon (${settings}): ${loss}`;
    return [fault('unit-address', problem, fix)];
  });
  const { silence } = names.named;
  const unknown = silence !== null && unit.denied.length > 0 ? [ofSilence(silence)] : [];
  const isSure = silence === null && lostNames(config, names).length === 0;
  const stale = isSure ? staleLines(own, neededLines(config, bare, names)) : [];
  if (stale.length === 0) return [...missing, ...unknown];
  const problem = `${DROP_IN}: the unit lets through what nothing in the configuration needs any more: ${stale.join(', ')}`;
  return [...missing, warning('unit-address-stale', problem, fix)];
}

function ofSilence(silence: string): Finding {
  return warning(
    'unit-servers-unknown',
    `fleet.engine: no Sentinel says which servers the unit has to let through (${silence})`,
    'start one and look again; or let the primary and every replica through by hand: systemctl edit nfknock, [Service], IPAddressAllow=ADDRESS',
  );
}

/** What nfknock's drop-in has to say for this configuration; none: there has to be no drop-in. */
export function neededLines(config: Config, bare: Unit, names: Names): readonly string[] {
  return [...new Set(talksOf(config, names).flatMap(({ address }) => opening(bare, address)))].sort();
}

/** Names in a configuration that stand for no address now. */
export function lostNames(config: Config, { addresses, named }: Names): readonly string[] {
  return namesOf(config, named).filter((host) => (addresses.get(host) ?? []).length === 0);
}

/** What the names in a configuration stand for now. One that stands for nothing has no addresses: `fleet check` says so. */
export async function findNames(config: Config, named: NamedServers): Promise<Names> {
  const hosts = namesOf(config, named);
  const found = hosts.map(async (host) => {
    const all = await lookup(host, { all: true }).catch(() => []);
    return [host, all.flatMap(({ address }) => parseAddress(address) ?? [])] as const;
  });
  const known = readText('/etc/hosts');
  const servers = hosts.every((host) => isKnown(known, host)) ? [] : getServers();
  return {
    addresses: new Map(await Promise.all(found)),
    servers: servers.flatMap((server) => parseAddress(hostOf(server)) ?? []),
    named,
  };
}

/** Whether a table of hosts, such as /etc/hosts, has the name: then no name server is asked. */
export function isKnown(table: string, host: string): boolean {
  const lines = table.split('\n').map((line) => line.replace(/#.*/, '').toLowerCase().split(/\s+/));
  return lines.some(([, ...names]) => names.includes(host.toLowerCase()));
}

/** Node.js writes a name server with its port in brackets or behind a colon, where that is not 53. */
function hostOf(server: string): string {
  const host = /^\[([^\]]+)\]/.exec(server)?.[1] ?? server.replace(/^([\d.]+):\d+$/, '$1');
  return host.split('%')[0] ?? host;
}

function namesOf(config: Config, { hosts }: NamedServers): readonly string[] {
  return [...new Set([...enginesOf(config), ...hosts].filter((host) => parseAddress(host) === undefined))];
}

function enginesOf({ fleet }: Config): readonly string[] {
  if (fleet === null || fleet.engine.kind === 'socket') return [];
  return fleet.engine.kind === 'server' ? [fleet.engine.host] : fleet.engine.nodes.map(({ host }) => host);
}

function talksOf(config: Config, names: Names): readonly Talk[] {
  return [...ofMetrics(config), ...ofEngine(config, names), ...ofServers(config, names)];
}

function ofEngine(config: Config, { addresses, named }: Names): readonly Talk[] {
  const talks = (hosts: readonly string[], loss: string): readonly Talk[] =>
    hosts
      .flatMap((host) => parseAddress(host) ?? addresses.get(host) ?? [])
      .map((address) => ({ key: 'fleet.engine', address, loss }));
  const engines = enginesOf(config);
  const others = named.hosts.filter((host) => !engines.includes(host));
  return [
    ...talks(engines, APART),
    ...talks(others, `the Sentinels name it, and while it is the primary ${APART}`),
  ];
}

function ofServers(config: Config, { servers, named }: Names): readonly Talk[] {
  const [host] = namesOf(config, named);
  if (host === undefined) return [];
  const loss = `the daemon can ask no name server what ${host} is, and is apart from its fleet`;
  return servers.map((address) => ({ key: 'fleet.engine', address, loss }));
}

function ofMetrics({ metrics }: Config): readonly Talk[] {
  const host = metrics === null ? undefined : /^(\[::1\]|[\d.]+|localhost):\d+$/.exec(metrics)?.[1];
  if (host === undefined) return [];
  const address = parseAddress(host === 'localhost' ? '127.0.0.1' : host.replace(/[[\]]/g, ''));
  const loss = 'anyone who asks for the metrics gets no answer';
  return address === undefined ? [] : [{ key: 'metrics', address, loss }];
}

/** What a unit lacks for an address to be reached; nothing: it is reached. */
function opening(unit: Unit, address: Address): readonly string[] {
  const network = address.family === 4 ? 'AF_INET' : 'AF_INET6';
  return [
    ...(isAddressLet(unit, address) ? [] : [`IPAddressAllow=${wordOf(address)}`]),
    ...(isFamilyLet(unit, network) ? [] : [`RestrictAddressFamilies=${network}`]),
  ];
}

/** What is allowed is asked first; what neither names passes. */
function isAddressLet({ allowed, denied }: Unit, address: Address): boolean {
  return isIn(allowed, address) || !isIn(denied, address);
}

function isFamilyLet({ families }: Unit, family: string): boolean {
  return families.length === 0 || families.includes(family);
}

function isIn(words: readonly string[], address: Address): boolean {
  return words
    .flatMap((word) => WORDS[word] ?? [word])
    .flatMap((text) => parseCidr(text) ?? ([] as readonly Cidr[]))
    .some((cidr) => contains(cidr, address));
}

function wordOf(address: Address): string {
  return isIn(['localhost'], address) ? 'localhost' : formatAddress(address);
}
