import { coverage, partsOf, targetWords } from '../firewall/rules/coverage.ts';
import { DROPPING, fateOf, PASSING, type Traffic } from '../firewall/rules/following.ts';
import type { Saved } from '../firewall/rules/jump.ts';
import { CHAIN } from '../firewall/rules/names.ts';
import { type Translated, translatedIn } from '../machine/translated.ts';
import type { Family } from '../packet/address.ts';
import { formatPortRange, type PortRange } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import { type Finding, fault, warning } from './finding.ts';

/** The rules of this machine as iptables-save prints them; undefined: they can't be read. */
export interface Rulesets {
  readonly v4: Saved | undefined;
  readonly v6: Saved | undefined;
  /** Whether this machine has IPv6. */
  readonly ipv6: boolean;
}

type Chains = ReadonlyMap<string, readonly string[]>;

/** Chains that lead to each other are followed so deep. */
const DEPTH_MAX = 8;
/** Packets as knocks and newcomers are. */
const NEWCOMERS: readonly Traffic[] = (['tcp', 'udp'] as const).map((protocol) => ({
  protocol,
  state: 'NEW',
  ports: undefined,
}));

/** What the rules of iptables say against this configuration. */
export function ofTables(config: Config, rules: Rulesets): readonly Finding[] {
  const { v4, v6, ipv6 } = rules;
  if (v4 === undefined) return [];
  if (jumpOf(v4) === undefined) {
    const problem = "nfknock's rules are not installed: what its doors protect is as open as without it";
    return [
      fault(
        'rules-missing',
        problem,
        'run: nfknock init, where nothing was set up yet; else start the daemon, or run: nfknock rules install',
      ),
      ...ofTranslated(config, rules),
    ];
  }
  return [
    ...ofJump(config, v4, 4),
    ...(ipv6 ? ofSix(config, v6) : []),
    ...ofBans(config, v4),
    ...ofTranslated(config, rules),
  ];
}

function ofSix(config: Config, v6: Saved | undefined): readonly Finding[] {
  if (v6 !== undefined && jumpOf(v6) !== undefined) return ofJump(config, v6, 6);
  const ports = config.doors.flatMap(({ opens }) => opens.map(formatPortRange)).join(', ');
  const problem = `IPv6 is open: nfknock's rules are not in ip6tables, so ${ports} can be reached over it`;
  const fix = 'run: nfknock rules install; or switch IPv6 off (ipv6.disable=1)';
  return [fault('ipv6-open', problem, fix)];
}

/** Our jump stands first, but for bans: a rule before it that accepts a service lets anybody in. */
function ofJump(config: Config, saved: Saved, family: Family): readonly Finding[] {
  const chains = filterOf(saved);
  const before = jumpOf(saved)?.before ?? [];
  const deciding = before.filter((rule) => !isHarmless(rule, chains, DEPTH_MAX));
  const [first] = deciding;
  if (first === undefined) return [];
  const open = openedBy(config, chains, before);
  const lets = open.length === 0 ? '' : `; anybody gets in at ${open.map(formatPortRange).join(', ')}`;
  const stand = deciding.length === 1 ? 'a rule stands' : `${deciding.length} rules stand, the first of them`;
  const problem = `${stand} in INPUT before nfknock's over IPv${family}: "${first.slice(0, 120)}"${ownerOf(first)}, and decides first${lets}`;
  const fix = 'put it behind: nfknock rules install puts its jump first; see what loads the others';
  return [
    open.length === 0 ? warning('jump-not-first', problem, fix) : fault('jump-not-first', problem, fix),
  ];
}

/** Services of doors that rules before our jump accept from anybody. */
function openedBy({ doors }: Config, chains: Chains, before: readonly string[]): readonly PortRange[] {
  const following = { chains: new Map([...chains, ['INPUT', before]]), policy: 'DROP' } as const;
  return doors
    .filter((door) => door.forward === null)
    .flatMap(({ opens }) => opens)
    .filter((ports) => {
      return fateOf(following, { protocol: ports.protocol, state: 'NEW', ports }) === 'accept';
    });
}

/** It takes nothing that nfknock judges, or drops certain sources only, as fail2ban and CrowdSec do. */
function isHarmless(rule: string, chains: Chains, depth: number): boolean {
  const taken = NEWCOMERS.map((each) => coverage(partsOf(rule), each));
  if (taken.every((each) => each === 'none')) return true;
  const { target } = targetWords(rule);
  if (target === undefined || target === 'RETURN' || PASSING.includes(target)) return true;
  if (DROPPING.includes(target)) return taken.every((each) => each === 'none' || each === 'sources');
  const inner = chains.get(target);
  return inner !== undefined && depth > 0 && inner.every((each) => isHarmless(each, chains, depth - 1));
}

/** Bans of others that stand behind our chain, where that accepts open connections because it is told to. */
function ofBans({ accept }: Config, v4: Saved): readonly Finding[] {
  if (accept !== 'own') return [];
  const chains = filterOf(v4);
  const behind = (jumpOf(v4)?.after ?? []).filter((rule) => isBan(rule, chains));
  if (behind.length === 0) return [];
  const who = behind.some((rule) => /crowdsec/i.test(rule)) ? 'CrowdSec' : 'fail2ban or its like';
  const problem = `${who} bans behind nfknock's rules, which accept open connections: an address that it bans goes on until the connection ends`;
  return [warning('bans-passed-by', problem, 'write "accept: auto", or let it put its jump first')];
}

function isBan(rule: string, chains: Chains): boolean {
  const { target = '' } = targetWords(rule);
  if (DROPPING.includes(target)) return NEWCOMERS.some((each) => coverage(partsOf(rule), each) === 'sources');
  return /^f2b-|crowdsec/i.test(target) && chains.has(target);
}

/** What is translated before INPUT, as Docker publishes it, our chain in INPUT never sees. */
function ofTranslated({ doors }: Config, { v4, v6 }: Rulesets): readonly Finding[] {
  const here = doors.filter((door) => door.forward === null);
  const all = [
    ...(v4 === undefined ? [] : translatedIn(v4, 4)),
    ...(v6 === undefined ? [] : translatedIn(v6, 6)),
  ];
  const found = all.flatMap((one) => {
    const door = here.find(({ opens }) => opens.some((range) => overlaps(range, one)));
    return door === undefined ? [] : [{ one, door: door.name }];
  });
  // Over the other family it is the same container.
  const once = found.filter(
    ({ one }, at) =>
      found.findIndex((each) => each.one.first === one.first && each.one.protocol === one.protocol) === at,
  );
  return once.map(({ one, door }) => {
    const port = one.first === one.last ? `${one.first}` : `${one.first}-${one.last}`;
    const docker = one.chain.startsWith('DOCKER');
    const who = docker ? 'Docker publishes' : `a rule of the chain ${one.chain} in the table nat sends away`;
    const problem = `${who} ${port}/${one.protocol}, which the door ${door} protects: its packets never pass INPUT, and anybody gets in`;
    const fix = docker
      ? `name the container's address as doors.${door}.forward, or publish it on 127.0.0.1`
      : `name where it is sent to as doors.${door}.forward, or take the rule out`;
    return fault(docker ? 'docker-published' : 'translated', problem, fix);
  });
}

function overlaps(range: PortRange, { protocol, first, last }: Translated): boolean {
  return range.protocol === protocol && first <= range.last && last >= range.first;
}

interface Place {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Whether our rules are in force, over one family at least. */
export function isLaid({ v4, v6 }: Rulesets): boolean {
  return [v4, v6].some((saved) => saved !== undefined && jumpOf(saved) !== undefined);
}

function jumpOf(saved: Saved): Place | undefined {
  const rules = filterOf(saved).get('INPUT') ?? [];
  const at = rules.findIndex((rule) => targetWords(rule).target === CHAIN.input);
  return at === -1 ? undefined : { before: rules.slice(0, at), after: rules.slice(at + 1) };
}

function filterOf(saved: Saved): Chains {
  return saved.get('filter') ?? new Map();
}

function ownerOf(rule: string): string {
  if (/ufw/.test(rule)) return ' (ufw)';
  if (/DOCKER/.test(rule)) return ' (Docker)';
  return /KUBE|CILIUM/i.test(rule) ? ' (Kubernetes)' : '';
}
