import { formatPort, formatPortRange, type PortRange } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import { type Finding, fault, warning } from './finding.ts';

/** The rules of this machine as its tools print them; undefined: they can't be read. */
export interface Rulesets {
  /** `iptables-save`. */
  readonly v4: string | undefined;
  /** `ip6tables-save`. */
  readonly v6: string | undefined;
  /** `nft list ruleset`. */
  readonly nft: string | undefined;
  /** Whether this machine has IPv6. */
  readonly ipv6: boolean;
}

const OURS = 'NFKNOCK';
/** Tables that iptables-nft keeps: what stands in them is in `v4` and `v6`. */
const IPTABLES = /^(ip|ip6) (filter|nat|mangle|raw|security)$/;
/** Chains whose jumps may stand before ours: they only drop. */
const DROPS_ONLY = /-j (f2b-|CROWDSEC|crowdsec)/;

/** Everything that the rules of this machine say against this configuration. */
export function ofTables(config: Config, rules: Rulesets): readonly Finding[] {
  return [
    ...ofJump(config, rules),
    ...ofOthers(config, rules),
    ...ofNative(config, rules.nft),
    ...ofDocker(config, rules),
  ];
}

/** Our jump is there and first, in both families. */
function ofJump(config: Config, { v4, v6, ipv6 }: Rulesets): readonly Finding[] {
  if (v4 === undefined) return [];
  const here = jumpOf(v4);
  if (here === undefined) {
    const problem = "nfknock's rules are not laid: what its doors protect is as open as without it";
    return [fault('rules-missing', problem, 'start the daemon, or run: nfknock rules install')];
  }
  const found: Finding[] = [];
  const before = here.before.filter((rule) => !DROPS_ONLY.test(rule) && !/^-i lo\b/.test(rule));
  const [first] = before;
  if (first !== undefined) {
    const problem = `${before.length === 1 ? 'a rule stands' : `${before.length} rules stand`} in INPUT before nfknock's, and decide first: "${first.slice(0, 120)}"${ownerOf(first)}`;
    const fix = 'put them behind: nfknock rules install puts its jump first; see what loads them';
    found.push(warning('jump-not-first', problem, fix));
  }
  if (ipv6 && (v6 === undefined || jumpOf(v6) === undefined)) {
    const ports = config.doors.flatMap(({ opens }) => opens.map(formatPortRange)).join(', ');
    const problem = `IPv6 is open: nfknock's rules are not in ip6tables, so ${ports} can be reached over it`;
    found.push(
      fault('ipv6-open', problem, 'run: nfknock rules install; or switch IPv6 off (ipv6.disable=1)'),
    );
  }
  return found;
}

/** A ban of fail2ban or CrowdSec that stands behind our chain is passed by where ours accepts. */
function ofOthers(_: Config, { v4 }: Rulesets): readonly Finding[] {
  const here = v4 === undefined ? undefined : jumpOf(v4);
  if (v4 === undefined || here === undefined) return [];
  const accepts = new RegExp(`^-A ${OURS} .*(ESTABLISHED).* -j ACCEPT`, 'm').test(v4);
  const behind = here.after.filter((rule) => DROPS_ONLY.test(rule));
  if (!accepts || behind.length === 0) return [];
  const who = behind.some((rule) => /crowdsec/i.test(rule)) ? 'CrowdSec' : 'fail2ban';
  const problem = `${who} bans behind nfknock's rules, which accept open connections: whom it bans goes on until the connection ends`;
  return [warning('bans-passed-by', problem, `let ${who} put its jump first, or let nfknock ban`)];
}

/** A native table with policy drop, or a last rule that drops, is asked as well: a packet passes only where all let it. */
function ofNative(config: Config, nft: string | undefined): readonly Finding[] {
  if (nft === undefined) return [];
  const forward = config.doors.some((door) => door.forward !== null);
  const hooks = forward ? 'input|forward' : 'input';
  const found = tablesOf(nft).flatMap(({ name, text }) => {
    if (IPTABLES.test(name)) return [];
    const drops = new RegExp(`hook (${hooks}) [^;]*;[^}]*policy drop`, 'm').test(text);
    return drops ? [name] : [];
  });
  return found.map((name) => {
    const who = name.endsWith(' firewalld') ? ' (firewalld)' : '';
    const problem = `the native nftables table "${name}"${who} has the policy drop and is asked beside nfknock's rules: knocks may never arrive, and who is let in is dropped there`;
    const fix = `accept there what nfknock guards: its knock ports and services, for example nft insert rule ${name} input tcp dport { … } accept; docs/operations.md shows how`;
    return fault('native-drop', problem, fix);
  });
}

/** What Docker publishes is translated before INPUT: our chain in INPUT never sees it. */
function ofDocker({ doors }: Config, { v4 }: Rulesets): readonly Finding[] {
  const published = [...(v4 ?? '').matchAll(/^-A DOCKER .*-p (tcp|udp) .*--dport (\d+) .*-j DNAT/gm)];
  const doorsHere = doors.filter((door) => door.forward === null);
  return published.flatMap(([, protocol, port]) => {
    const door = doorsHere.find(({ opens }) => opens.some((range) => covers(range, protocol, Number(port))));
    if (door === undefined) return [];
    const problem = `Docker publishes ${port}/${protocol}, which the door ${door.name} protects: its packets never pass INPUT, and anybody gets in`;
    return [
      fault(
        'docker-published',
        problem,
        `name the container's address as doors.${door.name}.forward, or publish it on 127.0.0.1`,
      ),
    ];
  });
}

/** Sequences that every guesser tries first. */
const PUBLISHED = [
  '7000/tcp 8000/tcp 9000/tcp',
  '9000/tcp 8000/tcp 7000/tcp',
  '7000/tcp 8000/udp 9000/tcp',
  '2222/udp 3333/tcp 4444/udp',
  '1000/tcp 2000/tcp 3000/tcp',
];

export function ofSecrets({ doors }: Config): readonly Finding[] {
  return doors.flatMap(({ name, knock }) => {
    if ('oneTime' in knock || !PUBLISHED.includes(knock.map(formatPort).join(' '))) return [];
    const problem = `the sequence of the door ${name} is a published example: guessers try it first`;
    return [warning('published-secret', problem, 'draw another, with ports of both protocols in no order')];
  });
}

interface Jump {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

function jumpOf(saved: string): Jump | undefined {
  const rules = inputOf(saved);
  const at = rules.findIndex((rule) => new RegExp(`-[jg] ${OURS}$`).test(rule.trim()));
  return at === -1 ? undefined : { before: rules.slice(0, at), after: rules.slice(at + 1) };
}

/** The rules of INPUT in the table filter, without `-A INPUT`. */
function inputOf(saved: string): readonly string[] {
  const filter = /^\*filter\n([\s\S]*?)^COMMIT/m.exec(saved)?.[1] ?? '';
  return [...filter.matchAll(/^-A INPUT (.*)$/gm)].map(([, rule]) => rule ?? '');
}

function ownerOf(rule: string): string {
  if (/ufw/.test(rule)) return ' (ufw)';
  if (/DOCKER/.test(rule)) return ' (Docker)';
  return /KUBE|CILIUM/i.test(rule) ? ' (Kubernetes)' : '';
}

function tablesOf(nft: string): readonly { readonly name: string; readonly text: string }[] {
  return nft.split(/^(?=table )/m).flatMap((text) => {
    const name = /^table (\S+ \S+) \{/.exec(text)?.[1];
    return name === undefined ? [] : [{ name, text }];
  });
}

function covers(range: PortRange, protocol: string | undefined, port: number): boolean {
  return range.protocol === protocol && port >= range.first && port <= range.last;
}
