import { describe, expect, it } from 'vitest';
import type { Family } from '../../src/packet/address.ts';
import { contains, networkOf } from '../../src/packet/cidr.ts';
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
import { type Fate, type State, type Wire, walk } from '../reference/netfilter.ts';
import { BEHIND, changed, HERE, portOf, SOURCE, tablesOf, withForwards } from './drawn-rules.ts';

/** `RULES_CASES=100000 RULES_SEED=7` tries others, and more. */
const CASES = Number(process.env['RULES_CASES'] ?? 500);
const SEED = Number(process.env['RULES_SEED'] ?? 1);
const PACKETS = 60;

const STATES: readonly State[] = ['NEW', 'NEW', 'NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];
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
    reply: random(2) === 0,
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
  // Against: packets with ACK at a service that is not tracked
  // by: they open no connection, and pass to the owner's own rules; with his policy ACCEPT they are answered as at
  // any port that is not tracked
  // Against: a port that is two things at once, in any configuration
  // by: the order of the rules
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

  // Against: a way round to a service behind this machine
  // by: the DROP at the end of its chain, no translation without a grant
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
