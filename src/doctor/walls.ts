import { lookup } from 'node:dns/promises';
import { type Address, formatAddress, parseAddress } from '../packet/address.ts';
import { type Cidr, contains, parseCidr } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import { type Finding, fault } from './finding.ts';
import type { Unit } from './unit.ts';

/** What of the configuration talks over the network, and with whom. */
interface Talk {
  readonly key: string;
  readonly address: Address;
  /** What comes of it where it can't. */
  readonly loss: string;
}

/** Where the drop-in goes that the fix writes. */
const DROP_IN = '/etc/systemd/system/nfknock.service.d/addresses.conf';
/** systemd's words for networks (systemd.resource-control). */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  any: ['0.0.0.0/0', '::/0'],
  localhost: ['127.0.0.0/8', '::1/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/64'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
};

/** What names of hosts stand for. */
type Names = ReadonlyMap<string, readonly Address[]>;

/** Addresses of the configuration that the unit's walls keep from the daemon. */
export function ofWalls(
  config: Config,
  unit: Unit | undefined,
  names: Names = new Map(),
): readonly Finding[] {
  if (unit === undefined) return [];
  return [...ofMetrics(config), ...ofEngine(config, names)].flatMap(({ key, address, loss }) => {
    if (isLetBy(unit, address)) return [];
    const network = address.family === 4 ? 'AF_INET' : 'AF_INET6';
    const text = [
      ...(isAddressLet(unit, address) ? [] : [`IPAddressAllow=${wordOf(address)}`]),
      ...(isFamilyLet(unit, network) ? [] : [`RestrictAddressFamilies=${network}`]),
    ];
    const names = text.map((line) => line.split('=')[0]).join(' and ');
    const problem = `${key}: the unit keeps its address from the daemon (${names}): ${loss}`;
    const lines = ['[Service]', ...text].map((line) => `${line}\\n`).join('');
    const fix = `mkdir -p ${DROP_IN.slice(0, DROP_IN.lastIndexOf('/'))}; printf '${lines}' >>${DROP_IN}; systemctl daemon-reload; systemctl restart nfknock`;
    return [fault('unit-address', problem, fix)];
  });
}

/** What the names in a configuration stand for now. One that stands for nothing is left out: `fleet check` says so. */
export async function findNames(config: Config): Promise<Names> {
  const hosts = enginesOf(config).filter((host) => parseAddress(host) === undefined);
  const found = hosts.map(async (host) => {
    const all = await lookup(host, { all: true }).catch(() => []);
    return [host, all.flatMap(({ address }) => parseAddress(address) ?? [])] as const;
  });
  return new Map(await Promise.all(found));
}

function enginesOf({ fleet }: Config): readonly string[] {
  if (fleet === null || fleet.engine.kind === 'socket') return [];
  return fleet.engine.kind === 'server' ? [fleet.engine.host] : fleet.engine.nodes.map(({ host }) => host);
}

function ofEngine(config: Config, names: Names): readonly Talk[] {
  const loss = 'this member is apart from its fleet, and one-time doors stay shut';
  return enginesOf(config)
    .flatMap((host) => parseAddress(host) ?? names.get(host) ?? [])
    .map((address) => ({ key: 'fleet.engine', address, loss }));
}

function ofMetrics({ metrics }: Config): readonly Talk[] {
  const host = metrics === null ? undefined : /^(\[::1\]|[\d.]+|localhost):\d+$/.exec(metrics)?.[1];
  if (host === undefined) return [];
  const address = parseAddress(host === 'localhost' ? '127.0.0.1' : host.replace(/[[\]]/g, ''));
  const loss = 'anyone who asks for the metrics gets no answer';
  return address === undefined ? [] : [{ key: 'metrics', address, loss }];
}

function isLetBy(unit: Unit, address: Address): boolean {
  return isAddressLet(unit, address) && isFamilyLet(unit, address.family === 4 ? 'AF_INET' : 'AF_INET6');
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
