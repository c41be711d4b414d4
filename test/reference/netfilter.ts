import type { Address } from '../../src/packet/address.ts';
import { contains, parseCidr } from '../../src/packet/cidr.ts';

/*
 * What the kernel does with a packet, from the text that iptables-restore is given: rules are read word by word and
 * asked one after the other. A word that is not known here throws, so that no rule is passed over.
 */

export type State = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

export interface Wire {
  readonly protocol: 'tcp' | 'udp' | 'ipv6-icmp';
  readonly port: number;
  readonly source: Address;
  readonly destination: Address;
  readonly state: State;
  /** ESTABLISHED: whether it is of the side that did not begin, as conntrack sees it. Default: it is not. */
  readonly reply?: boolean;
  readonly comesIn: string;
  readonly goesOut: string;
  /** Whether the destination is one of this machine's own unicast addresses. */
  readonly local: boolean;
  /** TCP's flag ACK. */
  readonly ack: boolean;
  /** Whether it belongs to a connection of this machine, whatever conntrack thinks of it; UDP: a socket is bound there. */
  readonly socket: boolean;
  /** IP length in bytes. */
  readonly length?: number;
}

/** `untouched`: no rule decided, so the policy does. */
export interface Fate {
  readonly verdict: 'ACCEPT' | 'DROP' | 'NFQUEUE' | 'REJECT' | 'DNAT' | 'untouched';
  /** Copies that went to the daemon by NFLOG. */
  readonly copies: number;
}

/** A packet of UDP without anything in it. */
const SHORTEST = 28;

type Rule = readonly string[];

export interface Tables {
  /** By the table and the chain: `filter INPUT`. */
  readonly chains: ReadonlyMap<string, readonly Rule[]>;
  /** Who is in a set. */
  readonly sets: ReadonlyMap<string, readonly Address[]>;
}

/** Reads blocks such as `rules print` writes. */
export function readTables(text: string, sets: Tables['sets']): Tables {
  const chains = new Map<string, Rule[]>();
  let table = '';
  for (const line of text.split('\n')) {
    const words = (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''));
    const [head = '', chain = ''] = words;
    if (head.startsWith('*')) table = head.slice(1);
    else if (head === '-A') chainOf(chains, table, chain).push(words.slice(2));
    else if (head === '-I') chainOf(chains, table, chain).splice(Number(words[2]) - 1, 0, words.slice(3));
    else if (head.startsWith(':')) chainOf(chains, table, head.slice(1));
    else if (line !== '' && line !== 'COMMIT' && !line.startsWith('#')) throw new Error(`no rule: ${line}`);
  }
  return { chains, sets };
}

function chainOf(chains: Map<string, Rule[]>, table: string, name: string): Rule[] {
  const key = `${table} ${name}`;
  const rules = chains.get(key) ?? [];
  chains.set(key, rules);
  return rules;
}

/** What becomes of a packet in a chain, and in all that it leads to. */
export function walk(tables: Tables, table: string, chain: string, wire: Wire): Fate {
  let copies = 0;
  for (const rule of tables.chains.get(`${table} ${chain}`) ?? []) {
    const target = targetOf(tables, rule, wire);
    if (target === undefined) continue;
    switch (target) {
      case 'ACCEPT':
      case 'DROP':
      case 'NFQUEUE':
      case 'REJECT':
      case 'DNAT':
        return { verdict: target, copies };
      case 'RETURN':
        return { verdict: 'untouched', copies };
      case 'NFLOG':
        copies += 1;
        break;
      default: {
        if (!tables.chains.has(`${table} ${target}`)) throw new Error(`no chain: ${target}`);
        const fate = walk(tables, table, target, wire);
        copies += fate.copies;
        if (fate.verdict !== 'untouched') return { verdict: fate.verdict, copies };
      }
    }
  }
  return { verdict: 'untouched', copies };
}

/** The rule's target, where all its matches hold. */
function targetOf({ sets }: Tables, rule: Rule, wire: Wire): string | undefined {
  for (let at = 0; at < rule.length; at += 2) {
    const negated = rule[at] === '!';
    if (negated) at += 1;
    const [option = '', value = ''] = rule.slice(at, at + 2);
    if (option === '-j') return value;
    if (option === '-m' && value === 'socket' && !wire.socket) return undefined;
    if (option === '--nowildcard') {
      at -= 1;
      continue;
    }
    if (option === '-m' || option === '--comment' || option === '--datestop') continue;
    if (option === '--tcp-flags') {
      if (`${value} ${rule[at + 2]}` !== 'ACK ACK') throw new Error(`no flags: ${rule.join(' ')}`);
      at += 1;
    }
    if (option === '--match-set') {
      if (rule[at + 2] !== 'src') throw new Error(`not src: ${rule.join(' ')}`);
      at += 1;
    }
    if (holds(option, value, wire, sets) === negated) return undefined;
  }
  throw new Error(`no target: ${rule.join(' ')}`);
}

function holds(option: string, value: string, wire: Wire, sets: Tables['sets']): boolean {
  switch (option) {
    case '-p':
      return wire.protocol === value;
    case '--dport':
    case '--dports':
      // The kernel's XT_MULTI_PORTS: a range takes two.
      if (value.split(/[,:]/).length > 15) throw new Error(`more ports than a rule takes: ${value}`);
      return value.split(',').some((each) => {
        const [first = '', last = first] = each.split(':');
        return wire.port >= Number(first) && wire.port <= Number(last);
      });
    case '--tcp-flags':
      return wire.ack;
    case '--length': {
      const [least = 0, most = least] = value.split(':').map(Number);
      const { length = SHORTEST } = wire;
      return length >= least && length <= most;
    }
    case '--ctstate':
      return value.split(',').includes(wire.state);
    case '--ctdir':
      if (value !== 'REPLY') throw new Error(`no direction: ${value}`);
      return wire.state === 'ESTABLISHED' && wire.reply === true;
    case '--dst-type':
      if (value !== 'LOCAL') throw new Error(`no type: ${value}`);
      return wire.local;
    case '--match-set': {
      const members = sets.get(value);
      if (members === undefined) throw new Error(`no set: ${value}`);
      return members.includes(wire.source);
    }
    case '-i':
      return isNamed(value, wire.comesIn);
    case '-o':
      return isNamed(value, wire.goesOut);
    case '-s':
      return within(value, wire.source);
    case '-d':
      return within(value, wire.destination);
    default:
      throw new Error(`no match: ${option} ${value}`);
  }
}

function isNamed(value: string, name: string): boolean {
  return name === value || (value.endsWith('+') && name.startsWith(value.slice(0, -1)));
}

function within(text: string, address: Address): boolean {
  const network = parseCidr(text);
  if (network === undefined) throw new Error(`no network: ${text}`);
  return contains(network, address);
}
