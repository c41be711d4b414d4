import type { Family } from '../../packet/address.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { Config } from '../../policy/config.ts';
import { DHCP_CLIENT_PORT, TRACEROUTE } from '../../policy/limits.ts';
import { NO_ONE_TIME, type OneTimePorts } from '../../policy/port-roles.ts';
import { dports, union, without } from '../../policy/port-set.ts';
import { setRules } from '../grant.ts';
import { type Acceptance, allowRules, assumedAcceptance } from './acceptance.ts';
import { type Answers, answerRules, NO_ANSWERS } from './answers.ts';
import { copy, toDaemon } from './hand-over.ts';
import { keysRules } from './keys.ts';
import { type HostBehind, type Layout, layoutOf, withAnswers } from './layout.ts';
import { earlyChains, earlyJumps } from './mark.ts';
import { banSet, CHAIN, DOOR_SET_LIMIT, doorSet, type Table } from './names.ts';
import { banChains, forwardName, openSessions, refusal, refusalChain, toBans, type Way } from './refusal.ts';
import { inboundOf, jumpsOf } from './standing-jumps.ts';

/** A packet of the side that did not begin, as conntrack sees it. */
const ANSWER = '-m conntrack --ctdir REPLY';

/** A chain of nfknock's and what stands in it. */
export interface Chain {
  readonly table: Table;
  readonly name: string;
  /** Without `-A NAME`. Of a chain that holds grants: empty, unless they are in sets. */
  readonly rules: readonly string[];
}

/** A jump from someone else's chain to one of nfknock's; it stands before everything else there. */
export interface Jump {
  readonly table: Table;
  readonly from: string;
  readonly rule: string;
  /** True: made only where the chain `from` is there. */
  readonly optional: boolean;
  /** Left where it stands, so that what others have put between it and our first jump stays there. Default: first. */
  readonly place?: 'anywhere';
}

export interface SetSpec {
  readonly name: string;
  readonly family: Family;
  readonly type: 'hash:ip' | 'hash:net';
  /** Entries at most. */
  readonly limit: number;
}

/** All that one family's tables must hold for a configuration. */
export interface RuleSet {
  readonly family: Family;
  /** To be made before the rules, which name them. */
  readonly sets: readonly SetSpec[];
  readonly chains: readonly Chain[];
  readonly jumps: readonly Jump[];
  /** For `iptables-restore --noflush`, or ip6tables-restore: chains, rules, jumps. */
  readonly text: string;
}

/** The rules of a configuration for one family. `oneTime` tells the ports in files of one-time sequences. */
export function rulesFor(
  config: Config,
  family: Family,
  oneTime: OneTimePorts = NO_ONE_TIME,
  answers: Answers = NO_ANSWERS,
): RuleSet {
  return rulesOf(withAnswers(layoutOf(config, oneTime), answers), family, assumedAcceptance(config));
}

export function rulesOf(layout: Layout, family: Family, acceptance: Acceptance): RuleSet {
  const { config } = layout;
  const forwards = config.doors.flatMap(({ forward }) => forward ?? []);
  const behind = forwards.filter(({ to }) => to.address.family === family);
  const translated = behind.some(({ dnat }) => dnat);
  const chains: Chain[] = [
    { table: 'filter', name: CHAIN.input, rules: inputRules(layout, family, acceptance) },
    ...refusalChain(config, family, 'input'),
    ...banChains(config, family, 'input'),
    { table: 'filter', name: CHAIN.service, rules: serviceRules(layout, family) },
    { table: 'filter', name: CHAIN.queue, rules: queueRules(config, 'input') },
    grantChain(layout, family, 'filter', CHAIN.grant),
  ];
  if (behind.length > 0) {
    chains.push(
      ...(config.answer === 'closed' ? closedForward(config, family) : []),
      { table: 'filter', name: CHAIN.forward, rules: forwardRules(layout, family) },
      { table: 'filter', name: CHAIN.forwardService, rules: forwardServiceRules(layout, family) },
      grantChain(layout, family, 'filter', CHAIN.forwardGrant),
    );
  }
  if (translated) chains.push(grantChain(layout, family, 'nat', CHAIN.translate));
  const early = earlyChains(layout, family);
  if (early.length > 0) chains.push(...early, grantChain(layout, family, 'mangle', CHAIN.mark));
  const jumps = [
    ...jumpsOf(config, behind.length > 0, translated),
    ...earlyJumps(layout, family, inboundOf(config)),
  ];
  return { family, sets: setsOf(config, family), chains, jumps, text: restoreText(chains, jumps) };
}

/** Blocks for `iptables-restore --noflush`: what the chains hold is replaced, the jumps go to the top. */
export function restoreText(chains: readonly Chain[], jumps: readonly Jump[]): string {
  const tables = [...new Set(chains.map((chain) => chain.table))];
  return tables
    .map((table) => {
      const mine = chains.filter((chain) => chain.table === table);
      const lines = [
        `*${table}`,
        ...mine.map((chain) => `:${chain.name} - [0:0]`),
        ...mine.flatMap((chain) => chain.rules.map((rule) => `-A ${chain.name} ${rule}`)),
        ...insertions(jumps.filter((jump) => jump.table === table && !jump.optional)),
        'COMMIT',
      ];
      return `${lines.join('\n')}\n`;
    })
    .join('');
}

/** The jumps as insertions at the top of their chains, in their order. */
export function insertions(jumps: readonly Jump[]): readonly string[] {
  const placed = new Map<string, number>();
  return jumps.map((jump) => {
    const position = (placed.get(jump.from) ?? 0) + 1;
    placed.set(jump.from, position);
    return `-I ${jump.from} ${position} ${jump.rule}`;
  });
}

function inputRules(layout: Layout, family: Family, acceptance: Acceptance): readonly string[] {
  const { config } = layout;
  const roles = layout.roles[family];
  const every = config.decoys === 'all';
  return [
    // Neighbour discovery is tracked by nobody. A ban of a link-local /64 must not cut the router off.
    ...(family === 6 ? ['-p ipv6-icmp -m conntrack --ctstate UNTRACKED -j RETURN'] : []),
    ...bannedAnswerRules(layout, family),
    // ESTABLISHED alone: a helper's expectation (RELATED) must not reach a protected port.
    `-m conntrack --ctstate ESTABLISHED -j ${acceptance.established.toUpperCase()}`,
    ...keysRules(config),
    ...(config.bans.scope === 'all' ? toBans(config, 'input') : []),
    ...dports(roles.observed).map((match) => `${match} -m conntrack --ctstate NEW ${copy(config)}`),
    ...allowRules(roles.allow, acceptance),
    ...dports(roles.services).map((match) => `${match} -j ${CHAIN.service}`),
    ...dports(roles.knocks).map((match) => `${match} -j ${CHAIN.queue}`),
    // A neighbour's broadcast to a decoy port is no offence.
    ...(every
      ? everyPortRules(layout, family)
      : dports(roles.decoys).map((match) => `${match} -m addrtype --dst-type LOCAL -j ${CHAIN.queue}`)),
  ];
}

/**
 * `bans.cut`. A UDP service that sends unasked (a VPN's keepalive) makes conntrack take up what was cut as begun here, and
 * then every packet of the other side is an answer: a banned source's are met before what is established is let through.
 */
function bannedAnswerRules({ config, roles }: Layout, family: Family): readonly string[] {
  if (!config.bans.cut) return [];
  const { services, allow } = roles[family];
  const { udp } = config.bans.scope === 'all' ? union(services, allow) : services;
  return dports({ tcp: [], udp }).flatMap((match) =>
    toBans(config, 'input').map((jump) => `${match} ${ANSWER} ${jump}`),
  );
}

/**
 * `decoys: all`. LOCAL leaves broadcast and multicast alone. UNTRACKED is left out: where the administrator
 * has turned tracking off, answers to our own packets look like that.
 */
function everyPortRules(layout: Layout, family: Family): readonly string[] {
  const { config } = layout;
  const { allow } = layout.roles[family];
  const fresh = '-m addrtype --dst-type LOCAL -m conntrack --ctstate NEW,INVALID';
  return [
    ...dports(allow).map((match) => `${match} -j RETURN`),
    `-p udp -m udp --dport ${DHCP_CLIENT_PORT[family]} -j RETURN`,
    ...answerRules(layout.answers, family),
    // Nothing is meant to answer there, and who traces a route is no offender: closed, and not seen.
    ...dports({ tcp: [], udp: [TRACEROUTE] }).map((match) => `${match} ${fresh} ${refusal(config, 'input')}`),
    ...['tcp', 'udp'].map((protocol) => `-p ${protocol} ${fresh} -j ${CHAIN.queue}`),
  ];
}

function serviceRules(layout: Layout, family: Family): readonly string[] {
  const { config } = layout;
  const { services, ownKnocks, chained } = layout.roles[family];
  const { scope, strikeOnService } = config.bans;
  const knocks = strikeOnService ? without(services, chained) : ownKnocks;
  return [
    ...openSessions(services),
    ...(scope === 'hidden' ? toBans(config, 'input') : []),
    `-j ${CHAIN.grant}`,
    ...dports(knocks).map((match) => `${match} -j ${CHAIN.queue}`),
    refusal(config, 'input'),
  ];
}

/** UNTRACKED counts: a port that nothing serves may well be taken out of tracking to save the cost. */
function queueRules(config: Config, way: Way): readonly string[] {
  const states = '-m conntrack --ctstate NEW,INVALID,UNTRACKED';
  const [target = ''] = toDaemon(config, way);
  return [
    ...(config.bans.scope === 'hidden' ? toBans(config, way) : []),
    `${states} ${target}`,
    refusal(config, way),
  ];
}

function forwardRules(layout: Layout, family: Family): readonly string[] {
  const { config } = layout;
  const hosts = hostsOf(layout, family).map(({ to, roles }) => ({ host: formatCidr(to), roles }));
  const established = '-m conntrack --ctstate ESTABLISHED';
  const queue = forwardName(config, CHAIN.queue, CHAIN.forwardQueue);
  return [
    ...hosts.flatMap(({ host }) => [
      `-d ${host} ${established} -j ACCEPT`,
      `-s ${host} ${established} -j ACCEPT`,
    ]),
    `${established} -j RETURN`,
    ...(config.bans.scope === 'all' ? toBans(config, 'forward') : []),
    ...hosts.flatMap(({ host, roles: { services, knocks, decoys } }) => [
      ...dports(services).map((match) => `-d ${host} ${match} -j ${CHAIN.forwardService}`),
      ...dports(union(knocks, decoys)).map((match) => `-d ${host} ${match} -j ${queue}`),
    ]),
  ];
}

function forwardServiceRules(layout: Layout, family: Family): readonly string[] {
  const { config } = layout;
  const { scope, strikeOnService } = config.bans;
  const queue = forwardName(config, CHAIN.queue, CHAIN.forwardQueue);
  const hosts = hostsOf(layout, family);
  const services = union(...hosts.map(({ roles }) => roles.services));
  const own = union(...hosts.map(({ roles }) => roles.ownKnocks));
  return [
    ...openSessions(services),
    ...(scope === 'hidden' ? toBans(config, 'forward') : []),
    `-j ${CHAIN.forwardGrant}`,
    ...dports(strikeOnService ? services : own).map((match) => `${match} -j ${queue}`),
    refusal(config, 'forward'),
  ];
}

function hostsOf({ behind }: Layout, family: Family): readonly HostBehind[] {
  return behind.filter(({ to }) => to.address.family === family);
}

function grantChain(layout: Layout, family: Family, table: Table, name: string): Chain {
  if (layout.config.grants !== 'set') return { table, name, rules: [] };
  const placed = layout.config.doors.flatMap((door) => setRules(layout, door.name, family));
  return { table, name, rules: placed.filter((each) => each.chain === name).map((each) => each.rule) };
}

function closedForward(config: Config, family: Family): readonly Chain[] {
  return [
    ...refusalChain(config, family, 'forward'),
    ...banChains(config, family, 'forward'),
    { table: 'filter', name: CHAIN.forwardQueue, rules: queueRules(config, 'forward') },
  ];
}

function setsOf(config: Config, family: Family): readonly SetSpec[] {
  const bans: SetSpec = {
    name: banSet(family),
    family,
    type: family === 4 ? 'hash:ip' : 'hash:net',
    limit: config.bans.limit,
  };
  if (config.grants !== 'set') return [bans];
  const doors = config.doors.map(
    (door): SetSpec => ({
      name: doorSet(door.name, family),
      family,
      type: 'hash:net',
      limit: DOOR_SET_LIMIT,
    }),
  );
  return [bans, ...doors];
}
