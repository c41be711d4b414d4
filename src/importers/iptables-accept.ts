import { isPort, type Port, type PortRange, type Protocol } from '../packet/port.ts';

/** An iptables command that does nothing but accept the knocker's packets to some ports, or take that back. */
export interface AcceptRule {
  readonly action: 'add' | 'delete';
  readonly family: 4 | 6;
  readonly opens: readonly PortRange[];
  /** The interface of `-i`. */
  readonly interface: string | null;
  /** `--dport` without `-p`, which iptables itself refuses; taken as tcp. */
  readonly guessedProtocol: boolean;
}

/** Names in /etc/services that guides use for ports. */
const SERVICES: Readonly<Record<string, number>> = {
  'ftp-data': 20,
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  http: 80,
  www: 80,
  pop3: 110,
  ntp: 123,
  imap2: 143,
  imap: 143,
  ldap: 389,
  https: 443,
  submission: 587,
  ldaps: 636,
  imaps: 993,
  pop3s: 995,
  openvpn: 1194,
  mysql: 3306,
  postgresql: 5432,
  'http-alt': 8080,
};

/** Matches that neither widen nor narrow what a grant lets in. */
const PLAIN_MATCHES = ['tcp', 'udp', 'comment', 'conntrack', 'state', 'multiport'];

interface Draft {
  action: 'add' | 'delete' | undefined;
  protocols: readonly Protocol[] | undefined;
  ports: readonly (readonly [Port, Port])[];
  source: boolean;
  accepts: boolean;
  inInterface: string | null;
}

/** Takes the value of an option into the draft; false: the rule is not plain. */
type Option = (draft: Draft, value: string) => boolean;

const add: Option = (draft, chain) => {
  draft.action = 'add';
  return chain === 'INPUT';
};
const remove: Option = (draft, chain) => {
  draft.action = 'delete';
  return chain === 'INPUT';
};
const source: Option = (draft, value) => {
  draft.source = /^%IP%(\/(32|128))?$/.test(value);
  return draft.source;
};
const protocol: Option = (draft, value) => {
  const name = value.toLowerCase();
  draft.protocols = name === 'all' ? ['tcp', 'udp'] : name === 'tcp' || name === '6' ? ['tcp'] : ['udp'];
  return ['tcp', 'udp', '6', '17', 'all'].includes(name);
};
const ports: Option = (draft, value) => {
  const ranges = value.split(',').map(portsOf);
  draft.ports = ranges.flatMap((range) => (range === undefined ? [] : [range]));
  return ranges.length === draft.ports.length;
};
const target: Option = (draft, value) => {
  draft.accepts = value === 'ACCEPT';
  return draft.accepts;
};
const inInterface: Option = (draft, value) => {
  draft.inInterface = value;
  return true;
};
const state: Option = (_, value) => value.split(',').includes('NEW');
const match: Option = (_, value) => PLAIN_MATCHES.includes(value);
const filterTable: Option = (_, value) => value === 'filter';
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
  '-p': protocol,
  '--protocol': protocol,
  '--proto': protocol,
  '--dport': ports,
  '--destination-port': ports,
  '--dports': ports,
  '--destination-ports': ports,
  '-j': target,
  '--jump': target,
  '-i': inInterface,
  '--in-interface': inInterface,
  '--ctstate': state,
  '--state': state,
  '-m': match,
  '--match': match,
  '-t': filterTable,
  '--table': filterTable,
  '--comment': comment,
};

/** Options without a value. `--syn`, since a grant is for new connections anyway. */
const BARE = ['--syn', '-w', '--wait', '-v', '--verbose', '-n', '--numeric'];

/** The rule, if that is all the command is: for the knocker, in INPUT, to named ports, ACCEPT. */
export function acceptRule(words: readonly string[]): AcceptRule | undefined {
  const [program = '', ...rest] = words;
  const name = /^(?:\/(?:usr\/)?(?:local\/)?s?bin\/)?(ip6?tables)(?:-nft|-legacy)?$/.exec(program)?.[1];
  if (name === undefined) return undefined;
  const draft: Draft = {
    action: undefined,
    protocols: undefined,
    ports: [],
    source: false,
    accepts: false,
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
  const { action } = draft;
  if (action === undefined || !draft.source || !draft.accepts || draft.ports.length === 0) return undefined;
  const protocols = draft.protocols ?? ['tcp'];
  return {
    action,
    family: name === 'iptables' ? 4 : 6,
    opens: protocols.flatMap((each) => draft.ports.map(([first, last]) => ({ protocol: each, first, last }))),
    interface: draft.inInterface,
    guessedProtocol: draft.protocols === undefined,
  };
}

/** `22`, `ssh`, `6000:6100`. */
function portsOf(text: string): readonly [Port, Port] | undefined {
  const [first = '', last = first, ...more] = text.split(':');
  const [from, to] = [first, last].map((word) =>
    /^\d{1,5}$/.test(word) ? Number(word) : (SERVICES[word] ?? 0),
  );
  if (from === undefined || to === undefined || !isPort(from) || !isPort(to) || from > to || more.length > 0)
    return undefined;
  return [from, to];
}
