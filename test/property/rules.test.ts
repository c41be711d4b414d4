import { describe, expect, it } from 'vitest';
import { grantRules } from '../../src/firewall/grant.ts';
import { layoutOf } from '../../src/firewall/rules/layout.ts';
import { banSet, doorSet } from '../../src/firewall/rules/names.ts';
import { rulesFor } from '../../src/firewall/rules/rules.ts';
import { type Address, type Family, formatAddress, parseAddress } from '../../src/packet/address.ts';
import { contains, hostCidr, networkOf } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';
import { soundConfig } from '../fuzz/any-config.ts';
import { type Random, randomOf } from '../fuzz/random.ts';
import {
  isAnswered,
  isBehind,
  isCopied,
  type Meant,
  meantInput,
  opens,
  type Standing,
} from '../reference/firewall.ts';
import { type Fate, readTables, type State, type Tables, type Wire, walk } from '../reference/netfilter.ts';

/** `RULES_CASES=100000 RULES_SEED=7` tries others, and more. */
const CASES = Number(process.env['RULES_CASES'] ?? 500);
const SEED = Number(process.env['RULES_SEED'] ?? 1);
const PACKETS = 60;

const STATES: readonly State[] = ['NEW', 'NEW', 'NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];
const SOURCE = { 4: host('198.51.100.9'), 6: host('2001:db8:9::9') } as const;
const HERE = { 4: host('192.0.2.1'), 6: host('2001:db8::1') } as const;
const BEHIND = { 4: [host('10.0.0.5'), host('10.7.7.7')], 6: [host('2001:db8::5')] } as const;

function host(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  return address;
}

interface Written {
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
function withForwards({ doors }: Written, random: Random, family: Family): void {
  const forward = formatAddress(BEHIND[family][0]);
  for (const [name, door] of Object.entries(doors)) {
    if (random(2) === 0) doors[name] = { ...door, forward, dnat: random(2) === 0 };
  }
}

function changed(text: string, random: Random, more: (written: Written) => void = () => undefined): string {
  const written = JSON.parse(text) as Written;
  withConflicts(written, random);
  more(written);
  return JSON.stringify(written);
}

/** The tables as they are with these grants, and this source banned or not. */
function tablesOf(
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
function portOf(config: Config, random: Random): number {
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

/** Networks with the source in one of them or not, and ports that any configuration's may be among. */
function questionsOf(random: Random, family: Family): Pick<Standing, 'neighbours' | 'questions'> {
  const there = [SOURCE[family], HERE[family]].filter(() => random(2) === 0);
  const first = 1 + random(40_000);
  const last = first + random(65_536 - first);
  return { neighbours: there.map((address) => networkOf(address, 24)), questions: { first, last } };
}

function wireOf(config: Config, random: Random, family: Family): Wire {
  const names = ['eth0', 'eth0', 'lo', 'wlan0', ...config.listen.interfaces];
  return {
    protocol: random(20) === 0 && family === 6 ? 'ipv6-icmp' : random(2) === 0 ? 'tcp' : 'udp',
    port: portOf(config, random),
    source: SOURCE[family],
    destination: HERE[family],
    state: STATES[random(STATES.length)] ?? 'NEW',
    comesIn: names[random(names.length)] ?? 'eth0',
    goesOut: '',
    local: random(8) > 0,
    ack: random(3) === 0,
    socket: random(3) === 0,
  };
}

/** With NFLOG what is seen is copied, then dropped. */
function wordOf(config: Config, { verdict, copies }: Fate): Meant {
  switch (verdict) {
    case 'NFQUEUE':
      return 'seen';
    case 'DROP':
    case 'REJECT':
      return config.listen.source === 'nflog' && copies > 0 ? 'seen' : 'drop';
    case 'ACCEPT':
      return 'accept';
    default:
      return 'untouched';
  }
}

describe(`the rules of ${CASES} sound configurations`, { timeout: 60_000 + CASES * 50 }, () => {
  it.each([4, 6] as const)(
    'do with each packet to this machine what the configuration says (IPv%i)',
    (family) => {
      const random = randomOf(SEED + family);
      const met = new Map<Meant, number>();
      for (let number = 1; number <= CASES; number += 1) {
        const { text, config } = soundConfig(random, (any) => changed(any, random));
        const granted = config.doors.flatMap(({ name }) => (random(3) === 0 ? [name] : []));
        const standing = { banned: random(4) === 0, granted, ...questionsOf(random, family) };
        const tables = tablesOf(config, family, standing);
        for (let packet = 0; packet < PACKETS; packet += 1) {
          const wire = wireOf(config, random, family);
          const fate = walk(tables, 'filter', 'INPUT', wire);
          const meant = meantInput(config, wire, standing);
          met.set(meant, (met.get(meant) ?? 0) + 1);
          const { verdict, copies } = fate;
          const found = [
            wordOf(config, fate),
            verdict === 'REJECT',
            (verdict === 'ACCEPT' || verdict === 'untouched') && copies > 0,
          ];
          const wanted = [meant, isAnswered(config, wire, meant), isCopied(config, wire, standing)];
          if (String(found) !== String(wanted))
            expect(found, `${text}${JSON.stringify({ wire, standing })}`).toEqual(wanted);
        }
      }
      // Each was met often, or nothing would be shown.
      for (const meant of ['accept', 'drop', 'seen', 'untouched'] as const)
        expect(met.get(meant) ?? 0).toBeGreaterThan(CASES);
    },
  );

  it.each([4, 6] as const)('let nobody without a grant through to a service behind (IPv%i)', (family) => {
    const random = randomOf(SEED + 10 + family);
    let [stopped, through] = [0, 0];
    for (let number = 1; number <= CASES; number += 1) {
      const { text, config } = soundConfig(random, (any) =>
        changed(any, random, (written) => withForwards(written, random, family)),
      );
      const granted = config.doors.flatMap(({ name }) => (random(2) === 0 ? [name] : []));
      const standing = { banned: random(4) === 0, granted, ...questionsOf(random, family) };
      const tables = tablesOf(config, family, standing);
      const { interfaces } = config.listen;
      for (let packet = 0; packet < PACKETS; packet += 1) {
        const there = BEHIND[family];
        const wire = {
          ...wireOf(config, random, family),
          destination: there[random(there.length)] ?? HERE[family],
          comesIn: interfaces[0]?.replace('+', '0') ?? 'eth0',
          state: random(3) === 0 ? ('RELATED' as const) : ('NEW' as const),
          local: false,
        };
        const doors = isBehind(config, wire);
        const { verdict } = walk(tables, 'filter', 'FORWARD', wire);
        const what = `${text}${JSON.stringify({ wire, standing })}`;
        const banned = standing.banned && config.bans.enforce;
        const mayPass = !banned && wire.state === 'NEW' && doors.some(({ name }) => granted.includes(name));
        if (doors.length > 0 && !mayPass) {
          stopped += 1;
          const kept = config.answer === 'closed' ? ['DROP', 'REJECT'] : ['DROP', 'NFQUEUE'];
          expect(kept, what).toContain(verdict);
          // A reset could end a connection of that host.
          if (wire.ack) expect(verdict, what).not.toBe(wire.protocol === 'tcp' ? 'REJECT' : 'ACCEPT');
        } else if (doors.length > 0 && verdict === 'ACCEPT') through += 1;
        else if (doors.length === 0 && verdict === 'ACCEPT') expect(verdict, what).toBe('untouched');
        // Other machines are none of our business, unless someone is banned everywhere.
        const known = config.doors.some(
          ({ forward }) => forward !== null && contains(forward.to, wire.destination),
        );
        if (!known && !(banned && config.bans.scope === 'all') && verdict !== 'untouched')
          expect(verdict, what).toBe('untouched');
        // Nobody is translated who may not pass.
        const to = walk(tables, 'nat', 'PREROUTING', { ...wire, destination: HERE[family], local: true });
        const translated = config.doors.some(
          (door) =>
            door.forward?.dnat === true &&
            door.forward.to.address.family === family &&
            granted.includes(door.name) &&
            opens(door, wire),
        );
        if (to.verdict === 'DNAT' && !translated) expect(to.verdict, what).toBe('untouched');
      }
    }
    expect(stopped).toBeGreaterThan(CASES / 4);
    expect(through).toBeGreaterThan(CASES / 20);
  });
});
