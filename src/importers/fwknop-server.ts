import { isPort, type Port } from '../packet/port.ts';
import { quoted } from '../text/plain.ts';
import type { Directive } from './directive.ts';

/** What of fwknopd.conf has an equal. */
export interface FwknopServer {
  readonly interfaces: readonly string[];
  readonly ports: readonly Port[];
  /** Seconds that a sender's clock may be off. */
  readonly skew: number;
}

type Warn = (line: number, key: string, text: string) => void;

/** fwknopd's own defaults. */
export const SERVER_DEFAULTS: FwknopServer = { interfaces: [], ports: [62_201 as Port], skew: 120 };

const DEFAULT = 'no equal, and none is needed';
/** What is said of the rest: by how it begins. */
const REST: readonly (readonly [begins: string, says: string])[] = [
  ['FLUSH_IPT', 'no equal: grants end by themselves, and go on over a restart'],
  ['ENABLE_IPT_FORWARDING', 'is said by the door: write forward: ADDRESS, and dnat: true, into it'],
  ['ENABLE_IPT_LOCAL_NAT', 'no equal: open the port itself, or give the door forward:'],
  ['ENABLE_IPT_SNAT', 'no equal: keep your own rules for this'],
  ['SNAT_', 'no equal: keep your own rules for this'],
  ['ENABLE_SPA_OVER_HTTP', 'no equal: packets come by UDP, which is never answered; tell the clients -P udp'],
  ['ENABLE_TCP_SERVER', 'no equal: packets come by UDP, which is never answered; tell the clients -P udp'],
  [
    'ENABLE_UDP_SERVER',
    'no equal, and none is needed: packets are read from the kernel, and no socket is opened',
  ],
  ['ENABLE_NFQ_CAPTURE', 'no equal, and none is needed: packets come from the kernel in any case'],
  ['ENABLE_X_FORWARDED_FOR', 'no equal: the address is that of the packet, or the one that it names'],
  ['GPG_', 'no equal: give the person a key of kind ssh (nfknock key new NAME --door DOOR --ssh FILE)'],
  ['RULES_CHECK_THRESHOLD', 'no equal, and none is needed: rules that were removed are put back'],
  ['VERBOSE', 'is said by log: { level: debug }'],
  ['SYSLOG_', 'no equal: the log goes to standard output, which the journal keeps under systemd'],
];

/** Translates fwknopd.conf. */
export function fwknopServer(directives: readonly Directive[], warn: Warn): FwknopServer {
  let { interfaces, ports, skew } = SERVER_DEFAULTS;
  for (const { name, value, line } of directives) {
    const say = (text: string): void => warn(line, name, text);
    if (name === 'PCAP_INTF') {
      if (/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/.test(value) && value !== 'any') interfaces = [value];
      else if (value !== 'any')
        say(`${quoted(value)} is no name of an interface; every interface but lo is watched`);
    } else if (name === 'PCAP_FILTER') {
      const found = [...value.matchAll(/\budp\s+(?:dst\s+)?port\s+(\d+)/g)]
        .map(([, port]) => Number(port))
        .filter(isPort);
      if (found.length > 0) ports = found;
      else say(`names no UDP port; packets are heard at ${ports.join(', ')}`);
    } else if (name === 'UDPSERV_PORT') {
      const port = Number(value);
      if (isPort(port)) ports = [port];
    } else if (name === 'MAX_SPA_PACKET_AGE') {
      const seconds = Number(value);
      if (/^\d+$/.test(value) && seconds >= 1 && seconds <= 86_400) skew = seconds;
      else say(`is no age that is taken here; a clock may be off by ${skew} s`);
    } else if (name === 'ENABLE_SPA_PACKET_AGING' || name === 'ENABLE_DIGEST_PERSISTENCE') {
      if (/^n/i.test(value)) say('is always on here: a used packet must open nothing');
    } else if (!/^n$/i.test(value)) {
      say(REST.find(([begins]) => name.startsWith(begins))?.[1] ?? DEFAULT);
    }
  }
  return { interfaces, ports, skew };
}
