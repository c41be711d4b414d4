import type { Family } from '../../packet/address.ts';
import { PORT_MAX, type Protocol } from '../../packet/port.ts';
import type { Config, Door } from '../../policy/config.ts';
import { knocksOf, type OneTimePorts, rolesOf } from '../../policy/port-roles.ts';
import { common, type Ports, portsOf, type Span } from '../../policy/port-set.ts';
import type { Observation } from '../observations.ts';
import type { PortMatch, RawHook, RawRule } from './raw-rule.ts';

/** A port of a door that a rule takes out of connection tracking. */
export interface Untracked {
  readonly door: string;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly port: number;
  /** `knock`: one at a port of `allow`, which is seen only where its connections are tracked. Other knocks are seen. */
  readonly role: 'service' | 'knock';
  /** How the rule is found. */
  readonly rule: string;
  readonly fix: string;
}

const FAMILIES: readonly Family[] = [4, 6];
/** Fewer ports of the other side than this are of one service's answers, not of clients. */
const CLIENT_PORTS_MIN = 1024;
const DEPTH_MAX = 16;

/** Of each door, family, protocol and role the first port that is hit. */
export function untrackedOf(
  config: Config,
  hooks: readonly RawHook[],
  oneTime: OneTimePorts,
): readonly Untracked[] {
  const live = hooks.filter(({ chain, chains }) => (chains.get(chain) ?? []).length > 0);
  return FAMILIES.flatMap((family) => {
    const own = live.filter(({ families }) => families.includes(family));
    if (own.length === 0) return [];
    const { observed } = rolesOf(config, family, oneTime);
    return config.doors.flatMap((door): readonly Untracked[] => {
      if (door.forward !== null && door.forward.to.address.family !== family) return [];
      const knocks = common(observed, knocksOf(door, oneTime));
      return [
        ...hitsIn({ config, hooks: own, door, family, role: 'service' }, portsOf(door.opens)),
        ...hitsIn({ config, hooks: own, door, family, role: 'knock' }, knocks),
      ];
    });
  });
}

/** Said of each rule that keeps a door shut. */
export function ofUntracked(found: readonly Untracked[]): readonly Observation[] {
  return found.map(({ door, family, protocol, port, role, rule, fix }): Observation => {
    const effect =
      role === 'service'
        ? `door ${door} stays closed over IPv${family}`
        : `door ${door} does not see that knock over IPv${family}`;
    const what = `\`${rule}\` takes ${port}/${protocol} out of connection tracking: ${effect}`;
    return { code: 'notrack', key: 'doors', what, fix };
  });
}

/** Why nobody would get in by a door over these families. */
export function shutBy(
  found: readonly Untracked[],
  door: string,
  families: readonly Family[],
): readonly Untracked[] {
  return found.filter(
    (each) => each.role === 'service' && each.door === door && families.includes(each.family),
  );
}

interface Asked {
  readonly config: Config;
  readonly hooks: readonly RawHook[];
  readonly door: Door;
  readonly family: Family;
  readonly role: Untracked['role'];
}

function hitsIn({ config, hooks, door, family, role }: Asked, ports: Ports): readonly Untracked[] {
  return (['tcp', 'udp'] as const).flatMap((protocol): readonly Untracked[] => {
    for (const hook of hooks) {
      for (const side of sidesOf(hook, door, role)) {
        for (const port of probesOf(ports[protocol], hook, side)) {
          const packet: Packet = { protocol, port, side, interfaces: config.listen.interfaces };
          const { rule } = walk(hook, hook.chain, packet, DEPTH_MAX);
          if (rule === undefined) continue;
          const fix = `take that rule away, or put before it: ${hook.exempt(family, protocol, port)}`;
          return [{ door: door.name, family, protocol, port, role, rule: rule.text, fix }];
        }
      }
    }
    return [];
  });
}

type Side = 'dports' | 'sports';

/** Answers of a service that are not tracked leave its connection unknown; those of a host behind come in here. */
function sidesOf({ hook }: RawHook, { forward }: Door, role: Untracked['role']): readonly Side[] {
  if (hook === 'output') return forward === null && role === 'service' ? ['sports'] : [];
  return forward !== null && role === 'service' ? ['dports', 'sports'] : ['dports'];
}

/** The first port of each span between which and the next no rule makes a difference. */
function probesOf(spans: readonly Span[], { chains }: RawHook, side: Side): readonly number[] {
  const cuts = [...chains.values()]
    .flat()
    .flatMap((rule) => (rule[side] ?? []).flatMap(({ first, last }) => [first, last + 1]));
  return spans.flatMap(({ first, last }) => [
    first,
    ...new Set(cuts.filter((cut) => cut > first && cut <= Math.min(last, PORT_MAX))),
  ]);
}

interface Packet {
  readonly protocol: Protocol;
  readonly port: number;
  readonly side: Side;
  readonly interfaces: readonly string[];
}

interface Way {
  /** What takes it out of tracking. */
  readonly rule?: RawRule;
  readonly ended: boolean;
}

function walk(hook: RawHook, chain: string, packet: Packet, depth: number): Way {
  for (const rule of hook.chains.get(chain) ?? []) {
    const holds = holdsFor(rule, packet);
    if (holds === 'never' || rule.verdict === 'next') continue;
    if (rule.verdict === 'notrack') return { rule, ended: true };
    if (rule.verdict === 'jump' && depth > 0) {
      const ways = rule.to.map((name) => walk(hook, name, packet, depth - 1));
      const found = ways.find((way) => way.rule !== undefined);
      if (found !== undefined) return found;
      if (holds === 'always' && ways.length > 0 && ways.every((way) => way.ended)) return { ended: true };
    }
    if (holds === 'always' && rule.verdict === 'end') return { ended: true };
    if (holds === 'always' && rule.verdict === 'return') return { ended: false };
  }
  return { ended: false };
}

function holdsFor(rule: RawRule, { protocol, port, side, interfaces }: Packet): RawRule['holds'] {
  if (rule.protocol !== null && rule.protocol !== protocol) return 'never';
  if (!has(rule[side], port)) return 'never';
  if (
    rule.comesIn !== null &&
    interfaces.length > 0 &&
    !interfaces.some((name) => mayBe(name, rule.comesIn ?? ''))
  )
    return 'never';
  const others = rule[side === 'dports' ? 'sports' : 'dports'];
  if (others === null) return rule.holds;
  const count = others.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (count < CLIENT_PORTS_MIN) return 'never';
  return rule.holds === 'never' ? 'never' : 'sometimes';
}

function has(ports: PortMatch, port: number): boolean {
  return ports === null || ports.some(({ first, last }) => port >= first && port <= last);
}

/** Both may stand for all names that begin so. */
function mayBe(one: string, other: string): boolean {
  const [a, b] = [one, other].map((name) => name.replace(/[+*]$/, ''));
  if (a === undefined || b === undefined) return false;
  if (one === a && other === b) return a === b;
  return a.startsWith(b) || b.startsWith(a);
}
