import { describe, expect, it } from 'vitest';
import { settingsOf } from '../../src/config/settings.ts';
import { roleTableOf } from '../../src/engine/ports.ts';
import { layoutOf } from '../../src/firewall/rules/layout.ts';
import { ofListeners } from '../../src/machine/observations.ts';
import type { Address, Family } from '../../src/packet/address.ts';
import { contains } from '../../src/packet/cidr.ts';
import { TCP_FLAG } from '../../src/packet/flags.ts';
import { emptyPacket, type Packet } from '../../src/packet/packet.ts';
import { PROTOCOL_NUMBER, type Protocol } from '../../src/packet/port.ts';
import { PORT_KEYS, type PortKey, portKey, specOf } from '../../src/packet/port-key.ts';
import type { Config } from '../../src/policy/config.ts';
import { isWatched, keysPorts, NO_ONE_TIME, ROLE } from '../../src/policy/port-roles.ts';
import { hasPort } from '../../src/policy/port-set.ts';
import { createReplayRules, type ReplayRules } from '../../src/replay/rules.ts';
import { watchedBeside } from '../../src/strength/guessing.ts';
import { watchedKeys } from '../../src/strength/scans.ts';
import { soundConfig } from '../fuzz/any-config.ts';
import { type Random, randomOf } from '../fuzz/random.ts';
import { type Tables, type Wire, walk } from '../reference/netfilter.ts';
import {
  BEHIND,
  changed,
  HERE,
  portOf,
  SOURCE,
  tablesOf,
  type Written,
  withForwards,
} from './drawn-rules.ts';

/** `RULES_CASES=100000 RULES_SEED=7` tries others, and more. */
const CASES = Number(process.env['RULES_CASES'] ?? 150);
const SEED = Number(process.env['RULES_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const PORTS = 24;

/** What the kernel does with a stranger's first packet, as the rules' text has it. */
interface Kernel {
  readonly seen: boolean;
  readonly accepted: boolean;
  readonly dropped: boolean;
}

interface Drawn {
  readonly text: string;
  readonly config: Config;
  readonly family: Family;
}

function drawn(random: Random, more: (written: Written, family: Family) => void = () => undefined): Drawn {
  const family = random(2) === 0 ? 4 : 6;
  const { text, config } = soundConfig(random, (any) =>
    changed(any, random, (written) => {
      more(written, family);
      if (random(2) === 0) written.decoys = random(2) === 0 ? 'all' : ['1000-3000', '7000-9000/udp'];
      if (random(4) === 0)
        written.listen = { ...written.listen, spa: [`${1024 + random(60_000)}/udp`, '6543/udp'] };
    }),
  );
  return { text, config, family };
}

/** Nobody is banned, nobody has a grant, nothing here has asked anything. */
function tablesFor({ config, family }: Drawn): Tables {
  return tablesOf(config, family, {
    banned: false,
    granted: [],
    neighbours: [],
    questions: { first: 1, last: 1 },
  });
}

function wireOf(config: Config, source: Address, destination: Address): Omit<Wire, 'protocol' | 'port'> {
  const comesIn = config.listen.interfaces[0]?.replace('+', '0') ?? 'eth0';
  return { source, destination, state: 'NEW', comesIn, goesOut: '', local: true, ack: false, socket: false };
}

function kernelAt(tables: Tables, chain: string, wire: Wire): Kernel {
  const { verdict, copies } = walk(tables, 'filter', chain, wire);
  const dropped = verdict === 'DROP' || verdict === 'REJECT' || verdict === 'NFQUEUE';
  return { seen: verdict === 'NFQUEUE' || copies > 0, accepted: !dropped, dropped };
}

function packetTo(key: PortKey, family: Family, source: Address, destination: Address): Packet {
  const { protocol, port } = specOf(key);
  const [source0, source1, source2, source3] = [source.a, source.b, source.c, source.d];
  const [destination0, destination1, destination2, destination3] = [
    destination.a,
    destination.b,
    destination.c,
    destination.d,
  ];
  return {
    ...emptyPacket(),
    family,
    protocol: PROTOCOL_NUMBER[protocol],
    ...{ source0, source1, source2, source3, destination0, destination1, destination2, destination3 },
    sourcePort: 40_000,
    port,
    flags: protocol === 'tcp' ? TCP_FLAG.syn : 0,
  };
}

/** Ports that the configuration names, of those beside them, of any; and those that `all` leaves out. */
function keysOf(config: Config, random: Random): readonly PortKey[] {
  return Array.from({ length: PORTS }, () =>
    portKey(random(2) === 0 ? PROTOCOL_NUMBER.tcp : PROTOCOL_NUMBER.udp, portOf(config, random)),
  );
}

const roleAt = (table: Uint8Array, key: PortKey): number => table[key] ?? 0;
const rulesOf = (config: Config): ReplayRules => createReplayRules(layoutOf(config));

describe(`what a port is, of ${CASES} random configurations (RULES_SEED=${SEED})`, {
  timeout: 60_000 + CASES * 50,
}, () => {
  it('is the same to the rules, the engine, replays, the strength of doors and what looks at the machine', () => {
    const random = randomOf(SEED);
    const met = { seen: 0, accepted: 0, decoys: 0, observed: 0 };
    for (let number = 0; number < CASES; number += 1) {
      const each = drawn(random);
      const { text, config, family } = each;
      // Doors to hosts behind are for the next test: the engine is not told where a packet was sent to.
      if (config.doors.some(({ forward }) => forward !== null)) continue;
      const tables = tablesFor(each);
      const replay = rulesOf(config);
      const settings = settingsOf(config, () => []);
      const engine = roleTableOf(settings, { now: settings.doors.map(({ knock }) => knock), spent: [] });
      const scanned = new Set(watchedKeys(settings));
      const base = wireOf(config, SOURCE[family], HERE[family]);
      for (const key of keysOf(config, random)) {
        const { protocol, port } = specOf(key);
        const what = `${text}${port}/${protocol} IPv${family}`;
        const kernel = kernelAt(tables, 'INPUT', { ...base, protocol, port });
        const role = roleAt(engine, key);
        const treated = replay.treat(packetTo(key, family, SOURCE[family], HERE[family]));
        const allowed = (role & ROLE.allow) !== 0;
        expect(treated.judged, what).toBe(kernel.seen);
        if (allowed) expect(treated.accepted, what).toBe(kernel.accepted);
        // 68/udp is a DHCP client's over IPv4 alone, and the engine has one list for both families.
        const dhcp = protocol === 'udp' && (port === 68 || port === 546) && config.decoys === 'all';
        if (!dhcp) {
          const judged = allowed ? (role & ROLE.knock) !== 0 : isWatched(role, config.bans);
          expect(judged, what).toBe(kernel.seen);
          // Asked of some: it looks at the whole configuration each time.
          if (random(4) === 0)
            expect(closes(config, protocol, port), what).toBe(kernel.dropped && (role & ROLE.service) === 0);
          // A scan may have a grant by then, so it tries chained knocks too.
          if (port > 0) expect(scanned.has(key), what).toBe(kernel.seen || (role & ROLE.chained) !== 0);
        }
        met.seen += Number(kernel.seen);
        met.accepted += Number(allowed && kernel.accepted);
        met.decoys += Number((role & ROLE.decoy) !== 0);
        met.observed += Number(allowed && kernel.seen);
      }
    }
    for (const count of Object.values(met)) expect(count).toBeGreaterThan(CASES / 50);

    function closes(config: Config, protocol: Protocol, port: number): boolean {
      const listener = { protocol, port, families: [4, 6] as const, process: null };
      return ofListeners(config, [listener], NO_ONE_TIME).length > 0;
    }
  });

  it('is by its destination the same to the rules and to replays; to the engine what some destination makes it', () => {
    const random = randomOf(SEED + 1);
    const met = { behind: 0, here: 0, service: 0 };
    for (let number = 0; number < CASES; number += 1) {
      const each = drawn(random, (written, family) => withForwards(written, random, family));
      const { text, config, family } = each;
      const tables = tablesFor(each);
      const replay = rulesOf(config);
      const settings = settingsOf(config, () => []);
      const engine = roleTableOf(settings, { now: settings.doors.map(({ knock }) => knock), spent: [] });
      for (const destination of [HERE[family], ...BEHIND[family]]) {
        const behind = config.doors.some(
          ({ forward }) => forward !== null && contains(forward.to, destination),
        );
        if (destination !== HERE[family] && !behind) continue;
        const base = { ...wireOf(config, SOURCE[family], destination), local: !behind };
        for (const key of keysOf(config, random)) {
          const { protocol, port } = specOf(key);
          const what = `${text}${port}/${protocol} IPv${family} ${behind ? 'behind' : 'here'}`;
          const kernel = kernelAt(tables, behind ? 'FORWARD' : 'INPUT', { ...base, protocol, port });
          const treated = replay.treat(packetTo(key, family, SOURCE[family], destination));
          expect(treated.judged, what).toBe(kernel.seen);
          const role = roleAt(engine, key);
          const dhcp = protocol === 'udp' && (port === 68 || port === 546) && config.decoys === 'all';
          if (kernel.seen && !dhcp) expect(role & (ROLE.knock | ROLE.decoy | ROLE.service), what).not.toBe(0);
          met[behind ? 'behind' : 'here'] += Number(kernel.seen);
          met.service += Number(kernel.dropped && !kernel.seen);
        }
      }
    }
    for (const count of Object.values(met)) expect(count).toBeGreaterThan(CASES / 50);
  });

  it("is a key's for packets of its length, whatever the port is else", () => {
    const random = randomOf(SEED + 2);
    let keys = 0;
    for (let number = 0; number < CASES; number += 1) {
      const each = drawn(random);
      const { text, config, family } = each;
      const tables = tablesFor(each);
      const base = wireOf(config, SOURCE[family], HERE[family]);
      for (const port of [...config.listen.spa, ...keysOf(config, random).map((key) => specOf(key).port)]) {
        const wire = { ...base, protocol: 'udp' as const, port };
        const own = hasPort(keysPorts(config), wire);
        const long = kernelAt(tables, 'INPUT', { ...wire, length: 300 });
        const banned = walk(
          tablesOf(config, family, {
            banned: true,
            granted: [],
            neighbours: [],
            questions: { first: 1, last: 1 },
          }),
          'filter',
          'INPUT',
          { ...wire, length: 300 },
        );
        const what = `${text}${port}/udp IPv${family}`;
        if (own) {
          expect(long.seen && long.dropped, what).toBe(true);
          // A forger who has an owner banned does not keep him out.
          expect(banned.verdict === 'NFQUEUE' || banned.copies > 0, what).toBe(true);
          keys += 1;
        } else expect(long, what).toEqual(kernelAt(tables, 'INPUT', wire));
      }
    }
    expect(keys).toBeGreaterThan(CASES / 20);
  });

  it('is counted for the strength of a door as the engine has it', () => {
    const random = randomOf(SEED + 3);
    for (let number = 0; number < Math.ceil(CASES / 10); number += 1) {
      const { text, config } = drawn(random);
      if (config.decoys === 'all') continue;
      const settings = settingsOf(config, () => []);
      const engine = roleTableOf(settings, { now: settings.doors.map(({ knock }) => knock), spent: [] });
      const counted = { knocks: 0, decoys: 0 };
      for (let key = 0; key < PORT_KEYS; key += 1) {
        counted.knocks += Number((roleAt(engine, key) & ROLE.knock) !== 0);
        counted.decoys += Number((roleAt(engine, key) & ROLE.decoy) !== 0);
      }
      for (const door of config.doors) {
        const { own, others, decoys } = watchedBeside(door, config);
        expect({ knocks: own + others, decoys }, text).toEqual(counted);
      }
    }
  });
});
