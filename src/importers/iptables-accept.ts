import { parseAddress } from '../packet/address.ts';
import type { Protocol } from '../packet/port.ts';
import { granteeOf, type Opening, portRanges, type Range, rangesOf } from './opening.ts';

/** Matches that neither widen nor narrow what a grant lets in. */
const PLAIN_MATCHES = ['tcp', 'udp', 'comment', 'conntrack', 'state', 'multiport'];

interface Draft {
  action: 'add' | 'delete' | undefined;
  chain: string;
  table: string;
  protocols: readonly Protocol[] | undefined;
  ports: readonly Range[];
  grantee: string;
  destination: string | null;
  target: string;
  translated: string | null;
  inInterface: string | null;
}

/** Takes the value of an option into the draft; false: the rule is not plain. */
type Option = (draft: Draft, value: string) => boolean;

const add: Option = (draft, chain) => {
  draft.action = 'add';
  draft.chain = chain;
  return /^[\w-]+$/.test(chain);
};
const remove: Option = (draft, chain) => {
  draft.action = 'delete';
  draft.chain = chain;
  return /^[\w-]+$/.test(chain);
};
const source: Option = (draft, value) => {
  draft.grantee = granteeOf(value) ?? '';
  return draft.grantee !== '';
};
const destination: Option = (draft, value) => {
  draft.destination = value.replace(/\/(32|128)$/, '');
  return parseAddress(draft.destination) !== undefined;
};
const protocol: Option = (draft, value) => {
  const name = value.toLowerCase();
  draft.protocols = name === 'all' ? ['tcp', 'udp'] : name === 'tcp' || name === '6' ? ['tcp'] : ['udp'];
  return ['tcp', 'udp', '6', '17', 'all'].includes(name);
};
const ports: Option = (draft, value) => {
  const ranges = rangesOf(value);
  draft.ports = ranges ?? [];
  return ranges !== undefined;
};
const target: Option = (draft, value) => {
  draft.target = value;
  return value === 'ACCEPT' || value === 'DNAT';
};
const inInterface: Option = (draft, value) => {
  draft.inInterface = value;
  return true;
};
const translated: Option = (draft, value) => {
  draft.translated = value;
  return true;
};
const state: Option = (_, value) => value.split(',').includes('NEW');
const match: Option = (_, value) => PLAIN_MATCHES.includes(value);
const table: Option = (draft, value) => {
  draft.table = value;
  return value === 'filter' || value === 'nat';
};
const comment: Option = () => true;

const OPTIONS: Readonly<Record<string, Option>> = {
  '-A': add,
  '--append': add,
  '-I': add,
  '--insert': add,
  '-D': remove,
  '--delete': remove,
  '-s': source,
  '--source': source,
  '--src': source,
  '-d': destination,
  '--destination': destination,
  '--dst': destination,
  '-p': protocol,
  '--protocol': protocol,
  '--proto': protocol,
  '--dport': ports,
  '--destination-port': ports,
  '--dports': ports,
  '--destination-ports': ports,
  '-j': target,
  '--jump': target,
  '--to-destination': translated,
  '--to': translated,
  '-i': inInterface,
  '--in-interface': inInterface,
  '--ctstate': state,
  '--state': state,
  '-m': match,
  '--match': match,
  '-t': table,
  '--table': table,
  '--comment': comment,
};

/** Options without a value. `--syn`, since a grant is for new connections anyway. */
const BARE = ['--syn', '-w', '--wait', '-v', '--verbose', '-n', '--numeric'];

/** The rule, if that is all the command is: ACCEPT, or DNAT to a host behind, for the knocker, everybody or a network. */
export function acceptRule(words: readonly string[]): Opening | undefined {
  const [program = '', ...rest] = words;
  const name = /^(?:\/(?:usr\/)?(?:local\/)?s?bin\/)?(ip6?tables)(?:-nft|-legacy)?$/.exec(program)?.[1];
  if (name === undefined) return undefined;
  const draft: Draft = {
    action: undefined,
    chain: '',
    table: 'filter',
    protocols: undefined,
    ports: [],
    grantee: 'any',
    destination: null,
    target: '',
    translated: null,
    inInterface: null,
  };
  for (let at = 0; at < rest.length; at += 1) {
    const [option = '', joined] = (rest[at] ?? '').split('=', 2);
    if (BARE.includes(option)) {
      if (/^(-w|--wait)$/.test(option) && /^\d+$/.test(rest[at + 1] ?? '')) at += 1;
      continue;
    }
    const take = OPTIONS[option];
    const value = joined ?? rest[at + 1];
    if (take === undefined || value === undefined || !take(draft, value)) return undefined;
    if (joined === undefined) at += 1;
    // A rule's number, as in `-I INPUT 1`, says only where it stands.
    if (take === add && /^\d+$/.test(rest[at + 1] ?? '')) at += 1;
  }
  return openingOf(draft, name === 'iptables' ? 4 : 6);
}

function openingOf(draft: Draft, family: 4 | 6): Opening | undefined {
  const { action, chain, grantee, destination: address, protocols } = draft;
  if (action === undefined) return undefined;
  const to = placeOf(draft);
  if (to === undefined) return undefined;
  // Without a port it is a rule for every port, whatever the protocol.
  const opens = portRanges(protocols ?? ['tcp'], draft.ports);
  const differs: string[] = [];
  if (protocols === undefined && draft.ports.length > 0)
    differs.push('--dport without -p, which iptables refuses; taken as tcp');
  if (address !== null && to === null)
    differs.push(
      `no equal: the rule is for packets to ${address} alone; a door opens at every address of this machine`,
    );
  if (to === null && chain !== 'INPUT')
    differs.push(
      `the rule stands in the chain ${chain}, which nfknock neither makes nor needs; taken as a rule of INPUT: if that chain is for packets that are passed on, name the host behind with "forward"`,
    );
  return { action, family, opens, grantee, to, interface: draft.inInterface, differs, seconds: null };
}

/** Null: this machine; undefined: nowhere that a door could lead to. */
function placeOf(draft: Draft): Opening['to'] | undefined {
  const { chain, table: name, target: to, destination: address } = draft;
  if (name === 'nat') {
    const [, host = '', port] = /^\[?([0-9a-fA-F.:]+?)\]?(?::(\d+))?$/.exec(draft.translated ?? '') ?? [];
    const same =
      port === undefined ||
      (draft.ports.length === 1 && draft.ports[0]?.every((each) => each === Number(port)));
    const fits = chain === 'PREROUTING' && to === 'DNAT' && same && parseAddress(host) !== undefined;
    return fits && draft.ports.length > 0 ? { host, dnat: true } : undefined;
  }
  if (to !== 'ACCEPT' || chain === 'OUTPUT') return undefined;
  if (chain !== 'FORWARD') return null;
  return address === null ? undefined : { host: address, dnat: false };
}
