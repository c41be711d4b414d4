import type { Traffic } from './following.ts';

/** Of packets of one kind a rule takes all, none, those of certain sources, or some in another way. */
export type Coverage = 'all' | 'none' | 'sources' | 'some';

/** Matches that say nothing by themselves: their options are looked at. */
const NEUTRAL: readonly string[] = [
  'tcp',
  'udp',
  'icmp',
  'icmp6',
  'comment',
  'conntrack',
  'state',
  'multiport',
  'set',
  'recent',
  'connlimit',
  'hashlimit',
  'mac',
  'iprange',
  'geoip',
  'addrtype',
  'rt',
];
/** Options that stand for the sources that a rule is about, where they are not turned round. */
const BY_SOURCE: readonly string[] = [
  '-s',
  '--src-range',
  '--mac-source',
  '--source-country',
  '--rcheck',
  '--update',
  // What a source has too much of; by default, and here always, each source by itself.
  '--connlimit-above',
];
/** Options that change nothing of what a rule takes. */
const WITHOUT_EFFECT: readonly string[] = [
  '--comment',
  '--name',
  '--rsource',
  '--mask',
  '--seconds',
  '--hitcount',
  '--reap',
  '--update-counters',
  '--connlimit-mask',
  '--connlimit-saddr',
  '--hashlimit-above',
  '--hashlimit-burst',
  '--hashlimit-name',
  '--hashlimit-srcmask',
  '--hashlimit-htable-size',
  '--hashlimit-htable-max',
  '--hashlimit-htable-expire',
  '--hashlimit-htable-gcinterval',
];
/** Questions by ICMP: what belongs to a connection of ours are the answers. */
const ECHO_REQUESTS: readonly string[] = ['8', '128', 'echo-request', '8/0', '128/0'];
/** Routing headers of type 0, which ufw drops first of all: no kernel sends or obeys them any more (RFC 5095). */
const FORBIDDEN_ROUTING = '0';
const FLAGS: readonly string[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'];
/** What flags packets of a connection really have; the first is how it begins. */
const HONEST: readonly (readonly string[])[] = [
  ['SYN'],
  ['SYN', 'ACK'],
  ['ACK'],
  ['ACK', 'PSH'],
  ['ACK', 'FIN'],
  ['ACK', 'PSH', 'FIN'],
  ['ACK', 'URG'],
  ['ACK', 'PSH', 'URG'],
  ['RST'],
  ['RST', 'ACK'],
];

interface Option {
  readonly name: string;
  readonly inverted: boolean;
  readonly values: readonly string[];
}

/** A rule of `iptables -S` in words. */
export interface RuleParts {
  /** Those before the target, each with its values. */
  readonly options: readonly Option[];
  readonly kind: 'jump' | 'goto';
  readonly target: string | undefined;
}

export function partsOf(rule: string): RuleParts {
  return { options: optionsOf(rule), ...targetWords(rule) };
}

/** What of the traffic a rule takes. What is not known counts as `some`. */
export function coverage({ options }: RuleParts, traffic: Traffic): Coverage {
  const found = new Set(options.map((option) => covered(option, traffic)));
  for (const each of ['none', 'some', 'sources'] as const) {
    // A ban of some sources at some ports is a ban of sources.
    if (each === 'some' && found.has('sources') && !options.some(countsTogether)) continue;
    if (found.has(each)) return each;
  }
  return 'all';
}

/** All sources are counted together, or by what they go to: that is no ban of one. */
function countsTogether({ name, values }: Option): boolean {
  const mask = name === '--connlimit-mask' || name === '--hashlimit-srcmask';
  return name === '--connlimit-daddr' || (mask && values[0] === '0');
}

export function targetWords(rule: string): {
  readonly kind: 'jump' | 'goto';
  readonly target: string | undefined;
} {
  const words = wordsOf(rule);
  const at = words.findIndex((word) => word === '-j' || word === '-g');
  return { kind: words[at] === '-g' ? 'goto' : 'jump', target: at < 0 ? undefined : words[at + 1] };
}

function wordsOf(rule: string): readonly string[] {
  return rule.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
}

function optionsOf(rule: string): readonly Option[] {
  const options: { name: string; inverted: boolean; values: string[] }[] = [];
  let inverted = false;
  for (const word of wordsOf(rule)) {
    if (word === '-j' || word === '-g') break;
    if (word === '!') inverted = true;
    else if (word.startsWith('-') && word.length > 1) {
      options.push({ name: word, inverted, values: [] });
      inverted = false;
    } else options.at(-1)?.values.push(word);
  }
  return options;
}

function covered(option: Option, traffic: Traffic): Coverage {
  const { name, inverted, values } = option;
  const words =
    name === '--match-set' ? (values[1] ?? '') : name === '--hashlimit-mode' ? (values[0] ?? '') : '';
  if (BY_SOURCE.includes(name) || /(?:^|,)src(?:ip|$|,)/.test(words)) {
    return inverted ? 'some' : 'sources';
  }
  if (countsTogether(option)) return 'some';
  const plain = plainly(name, values, traffic);
  if (!inverted || plain === 'some') return plain;
  return plain === 'all' ? 'none' : 'all';
}

function plainly(name: string, values: readonly string[], traffic: Traffic): 'all' | 'none' | 'some' {
  const [first = ''] = values;
  if (WITHOUT_EFFECT.includes(name)) return 'all';
  switch (name) {
    case '-m':
      return NEUTRAL.includes(first) ? 'all' : 'some';
    case '-p':
      return first === 'all' || protocolOf(first) === traffic.protocol ? 'all' : 'none';
    case '-i':
      return first === 'lo' ? 'none' : 'some';
    case '--ctstate':
    case '--state':
      return first.split(',').includes(traffic.state) ? 'all' : 'none';
    case '--dst-type':
      return destination(first);
    case '--dport':
    case '--dports':
      return portsCovered(first, traffic);
    case '--icmp-type':
    case '--icmpv6-type':
      return ECHO_REQUESTS.includes(first) ? 'none' : 'some';
    case '--rt-type':
      return first === FORBIDDEN_ROUTING ? 'none' : 'some';
    case '--tcp-flags':
      return flagsCovered(values, traffic);
    default:
      return 'some';
  }
}

function protocolOf(word: string): string {
  return word === 'ipv6-icmp' || word === 'icmpv6' ? 'icmp' : word;
}

/** What reaches a service is sent to an address of this machine. */
function destination(types: string): 'all' | 'none' {
  return types.split(',').includes('LOCAL') ? 'all' : 'none';
}

function portsCovered(list: string, { ports }: Traffic): 'all' | 'none' | 'some' {
  if (ports === undefined) return 'some';
  let touched = false;
  for (const entry of list.split(',')) {
    const [first = Number.NaN, last = first] = entry.split(':').map(Number);
    if (first <= ports.first && last >= ports.last) return 'all';
    if (!(first > ports.last || last < ports.first)) touched = true;
  }
  return touched ? 'some' : 'none';
}

function flagsCovered(
  [mask = '', wanted = '']: readonly string[],
  { state }: Traffic,
): 'all' | 'none' | 'some' {
  const looked = flagsOf(mask);
  const set = flagsOf(wanted);
  const sent = state === 'NEW' ? HONEST.slice(0, 1) : HONEST.slice(1);
  const taken = sent.filter((flags) => looked.every((flag) => flags.includes(flag) === set.includes(flag)));
  if (taken.length === sent.length) return 'all';
  return taken.length === 0 ? 'none' : 'some';
}

function flagsOf(list: string): readonly string[] {
  if (list === 'ALL') return FLAGS;
  return list === 'NONE' ? [] : list.split(',');
}
