import { grantRules } from '../../src/firewall/grant.ts';
import { layoutOf } from '../../src/firewall/rules/layout.ts';
import { banSet, doorSet } from '../../src/firewall/rules/names.ts';
import { rulesFor } from '../../src/firewall/rules/rules.ts';
import { type Address, type Family, formatAddress, parseAddress } from '../../src/packet/address.ts';
import { hostCidr } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';
import type { Random } from '../fuzz/random.ts';
import type { Standing } from '../reference/firewall.ts';
import { readTables, type Tables } from '../reference/netfilter.ts';

/* Random configurations in which ports are often two things at once, and the tables that are made of them. */

export const SOURCE: Readonly<Record<Family, Address>> = {
  4: host('198.51.100.9'),
  6: host('2001:db8:9::9'),
};
export const HERE: Readonly<Record<Family, Address>> = { 4: host('192.0.2.1'), 6: host('2001:db8::1') };
export const BEHIND: Readonly<Record<Family, readonly [Address, ...Address[]]>> = {
  4: [host('10.0.0.5'), host('10.7.7.7')],
  6: [host('2001:db8::5')],
};

function host(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  return address;
}

export interface Written {
  doors: Record<string, { knock: unknown[]; opens: unknown[]; forward?: string | null; dnat?: boolean }>;
  bans?: object;
  allow?: unknown[];
  decoys?: unknown;
  listen?: object;
  answer?: string;
  accept?: string;
}

/** Oftener than any configuration would: settings that the rules turn on, and ports that are two things at once. */
function withConflicts(written: Written, random: Random): void {
  written.bans = {
    ...written.bans,
    scope: random(2) === 0 ? 'all' : 'hidden',
    strike_on_service: random(2) === 0,
    enforce: random(4) > 0,
  };
  if (random(3) === 0) {
    written.listen = { ...written.listen, source: 'nflog' };
    written.answer = 'closed';
  }
  if (random(2) === 0) written.accept = 'return';
  const doors = Object.values(written.doors);
  for (const door of doors) {
    const other = doors[random(doors.length)];
    if (random(4) === 0 && other !== undefined) door.knock.push(...other.opens.slice(0, 1));
    if (random(8) === 0) written.allow = [...(written.allow ?? []), ...door.knock.slice(0, 1)];
    // More than one rule holds: multiport takes fifteen.
    if (random(8) === 0) for (let port = 20_000; port < 20_040; port += 2) door.opens.push(port);
  }
}

/** Half of the doors lead to a machine behind this one. */
export function withForwards({ doors }: Written, random: Random, family: Family): void {
  const forward = formatAddress(BEHIND[family][0]);
  for (const [name, door] of Object.entries(doors)) {
    if (random(2) === 0) doors[name] = { ...door, forward, dnat: random(2) === 0 };
  }
}

export function changed(
  text: string,
  random: Random,
  more: (written: Written) => void = () => undefined,
): string {
  const written = JSON.parse(text) as Written;
  withConflicts(written, random);
  more(written);
  return JSON.stringify(written);
}

/** The tables as they are with these grants, and this source banned or not. */
export function tablesOf(
  config: Config,
  family: Family,
  { banned, granted, neighbours: networks, questions: ports }: Standing,
): Tables {
  const source = SOURCE[family];
  const layout = layoutOf(config);
  const until = 2_000_000_000_000;
  const grants =
    config.grants === 'set'
      ? []
      : granted.flatMap((door) => grantRules(layout, { door, grantee: hostCidr(source), until }, family));
  const sets = new Map<string, readonly Address[]>([[banSet(family), banned ? [source] : []]]);
  for (const { name } of config.doors)
    sets.set(doorSet(name, family), granted.includes(name) ? [source] : []);
  const text = grants.map(({ table, chain, rule }) => `*${table}\n-A ${chain} ${rule}\nCOMMIT`).join('\n');
  return readTables(`${rulesFor(config, family, undefined, { networks, ports }).text}\n${text}`, sets);
}

/** Ports that the configuration names, those beside them, and any. */
export function portOf(config: Config, random: Random): number {
  const ranges = [
    ...config.allow,
    ...(config.decoys === 'all' ? [] : config.decoys),
    ...config.doors.flatMap(({ opens }) => opens),
  ];
  const steps = config.doors.flatMap(({ knock, close }) =>
    'oneTime' in knock ? close : [...knock, ...close],
  );
  const named = [
    ...ranges.flatMap(({ first, last }) => [first, last]),
    ...steps.map(({ port }) => port),
    68,
    546,
    33_434,
    33_534,
  ];
  const port = random(8) === 0 ? random(65_536) : (named[random(named.length)] ?? 0) + random(3) - 1;
  return Math.min(65_535, Math.max(0, port));
}
