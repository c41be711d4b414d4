import { parseCidr } from '../packet/cidr.ts';
import { isPort, type Port, type PortRange, type Protocol } from '../packet/port.ts';

/** What one firewall command of another program's does, where that is no more than to let somebody in, or to take it back. */
export interface Opening {
  readonly action: 'add' | 'delete';
  /** Null: both families. */
  readonly family: 4 | 6 | null;
  /** Empty: every port. */
  readonly opens: readonly PortRange[];
  /** The knocker, everybody, or a network. */
  readonly grantee: string;
  /** The host behind this machine that the packets go to; `dnat`: they are translated to it here. */
  readonly to: { readonly host: string; readonly dnat: boolean } | null;
  /** The interface that it holds for. */
  readonly interface: string | null;
  /** What the original does that a door does not, in words. */
  readonly differs: readonly string[];
  /** Seconds after which the other program takes it back by itself. */
  readonly seconds: number | null;
}

/** Names in /etc/services that guides use for ports; ufw's and firewalld's own names of services too. */
const SERVICES: Readonly<Record<string, number>> = {
  'ftp-data': 20,
  ftp: 21,
  ssh: 22,
  openssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  dns: 53,
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
  rdp: 3389,
  postgresql: 5432,
  'http-alt': 8080,
  cockpit: 9090,
  wireguard: 51820,
};
/** Services that are not tcp. */
const PROTOCOLS: Readonly<Record<string, readonly Protocol[]>> = {
  openvpn: ['udp'],
  wireguard: ['udp'],
  ntp: ['udp'],
  dns: ['tcp', 'udp'],
  domain: ['tcp', 'udp'],
};

export type Range = readonly [first: Port, last: Port];

/** `22`, `ssh`, `6000:6100`, `6000-6100`; undefined: no port. */
export function rangeOf(text: string): Range | undefined {
  const service = SERVICES[text.toLowerCase()];
  const [first = '', last = first, ...more] = service === undefined ? text.split(/[:-]/) : [String(service)];
  const [from = 0, to = 0] = [first, last].map((word) => (/^\d{1,5}$/.test(word) ? Number(word) : 0));
  if (!isPort(from) || !isPort(to) || from > to || more.length > 0) return undefined;
  return [from, to];
}

/** A list with commas between; undefined where one of them is no port. */
export function rangesOf(text: string): readonly Range[] | undefined {
  const ranges = text.split(',').map((word) => rangeOf(word.trim()));
  const known = ranges.filter((range) => range !== undefined);
  return known.length === ranges.length ? known : undefined;
}

/** The ports of a service by its name; undefined where it is not known. */
export function serviceOf(name: string): readonly PortRange[] | undefined {
  const port = SERVICES[name.toLowerCase()];
  if (port === undefined || !isPort(port)) return undefined;
  return portRanges(PROTOCOLS[name.toLowerCase()] ?? ['tcp'], [[port, port]]);
}

export function portRanges(protocols: readonly Protocol[], ranges: readonly Range[]): readonly PortRange[] {
  return protocols.flatMap((protocol) => ranges.map(([first, last]) => ({ protocol, first, last })));
}

/** `source`, `any` or a network as `grant` of a door takes it; undefined: neither. */
export function granteeOf(text: string): string | undefined {
  if (/^%IP%(\/(32|128))?$/.test(text)) return 'source';
  if (/^(any|anywhere|0\.0\.0\.0\/0|::\/0)$/i.test(text)) return 'any';
  return parseCidr(text) === undefined ? undefined : text;
}
