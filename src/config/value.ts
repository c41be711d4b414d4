import { parseAddress } from '../packet/address.ts';
import { type Cidr, formatCidr, HOST_BITS, networkOf, parseCidr, unmappedCidr } from '../packet/cidr.ts';
import { type FlagRule, parseFlags } from '../packet/flags.ts';
import { type PortRange, type PortSpec, parseKnock, parsePort, parsePortRange } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { quoted } from '../text/plain.ts';
import { DURATION_MAX, formatDuration, parseDuration } from './duration.ts';
import { type Kind, parsed, type Schema } from './kind.ts';
import { formatSize, parseSize } from './size.ts';

/** The longest path that Linux takes, in bytes. */
const PATH_BYTES_MAX = 4095;
/** The longest path of a Unix socket: `sun_path` has 108 bytes and ends with a NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
/** A packet's mark has 32 bits; 0 is what every packet has that nobody marked. */
const MARK_MAX = 0xffff_ffff;
/** The longest argument of a command, in characters. */
export const ARGUMENT_CHARACTERS_MAX = 4096;
/** Queues of one `--queue-balance`. */
const QUEUES_MAX = 64;
/** Queue numbers are 16 bits in the kernel; a running daemon holds the last as its sign (src/daemon/open-sources.ts). */
export const QUEUE_NUMBER_MAX = 65_534;

/** Parts of the patterns for editors. */
const PORT = '0*([1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
const PROTOCOL = '(/(tcp|udp))?';
const FLAG = '\\s*!?\\s*([Ff][Ii][Nn]|[Ss][Yy][Nn]|[Rr][Ss][Tt]|[Pp][Ss][Hh]|[Aa][Cc][Kk]|[Uu][Rr][Gg])\\s*';
const ADDRESS = '[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*';
const PATH = '/([^\\u0000-\\u001f\\u007f]*[^/\\u0000-\\u001f\\u007f])';

export function duration(min: Milliseconds, max: Milliseconds = DURATION_MAX): Kind<Milliseconds> {
  const from = `a time from ${formatDuration(min)} to ${formatDuration(max)}`;
  return parsed(
    (text) => {
      const value = parseDuration(text);
      return value !== undefined && value >= min && value <= max ? value : undefined;
    },
    {
      noun: from,
      form: 'a number and a unit, for example 250ms, 10s, 5m, 2h or 7d',
      hint: (text) => (/^\d+$/.test(text) ? `name the unit: ${text}s` : undefined),
      schema:
        min > 0
          ? { type: 'string', pattern: '^0*[1-9]\\d*(ms|s|m|h|d)$' }
          : { anyOf: [{ type: 'string', pattern: '^(0|\\d+(ms|s|m|h|d))$' }, { const: 0 }] },
    },
  );
}

export function size(min: number, max: number): Kind<number> {
  return parsed(
    (text) => {
      const value = parseSize(text);
      return value !== undefined && value >= min && value <= max ? value : undefined;
    },
    {
      noun: `a size from ${formatSize(min)} to ${formatSize(max)}`,
      form: 'a number and a unit, for example 10MB',
      hint: (text) => (/^\d+$/.test(text) ? `name the unit: ${text}MB` : undefined),
      schema: { type: 'string', pattern: '^\\d{1,9} ?(B|kB|KB|MB|GB)$' },
    },
  );
}

/** As nft and iptables write it. */
export const packetMark: Kind<number> = parsed(
  (text) => {
    const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : 0;
    return value >= 1 && value <= MARK_MAX ? value : undefined;
  },
  {
    noun: 'a mark from 0x1 to 0xffffffff',
    form: 'a number that no other program marks with, for example 0x4e46',
    hint: (text) => {
      if (/^0(x0+)?$/i.test(text)) return 'every packet has the mark 0, so that everybody would be accepted';
      return text.includes('/') ? 'a mask is not taken: the mark is set whole' : undefined;
    },
    schema: {
      anyOf: [
        { type: 'integer', minimum: 1, maximum: MARK_MAX },
        { type: 'string', pattern: '^(0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10})$' },
      ],
    },
  },
);

/** One step of a sequence. */
export const knockPort: Kind<PortSpec> = parsed(parsePort, {
  noun: 'one port from 1 to 65535',
  form: 'a port and its protocol, for example 7000/tcp or 8000/udp',
  hint: (text) =>
    parsePortRange(text) === undefined
      ? knockdPort(text)
      : 'name one port, since any scan would match a range',
  schema: portsLike(`${PORT}${PROTOCOL}`),
});

/** One step of a sequence that opens: it can be digits of a one-time code. */
export const knockStep: Kind<PortSpec> = parsed(parseKnock, {
  noun: 'one port from 1 to 65535',
  form: 'a port and its protocol, for example 7000/tcp or 8000/udp, or for digits of a one-time code 1????/tcp',
  hint: (text) => {
    if (text.includes('?'))
      return 'after 1 to 4 digits come 1 to 4 of "?", and the highest such port is 65535: 5????/tcp is the last of its length';
    return parsePortRange(text) === undefined
      ? knockdPort(text)
      : 'name one port, since any scan would match a range';
  },
  schema: portsLike(`(${PORT}|[1-9]\\d{0,3}\\?{1,4})${PROTOCOL}`),
});

export const portRange: Kind<PortRange> = parsed(parsePortRange, {
  noun: 'a port or range from 1 to 65535',
  form: 'a port and its protocol, for example 22/tcp or 6000-6100/udp',
  hint: knockdPort,
  schema: portsLike(`${PORT}(-${PORT})?${PROTOCOL}`),
});

/** A bare port is a number of YAML. */
function portsLike(pattern: string): Schema {
  return {
    anyOf: [
      { type: 'integer', minimum: 1, maximum: 65_535 },
      { type: 'string', pattern: `^${pattern}$` },
    ],
  };
}

/** knockd writes `8000:udp`, nmap and some people `8000/UDP` or `udp/8000`. */
function knockdPort(text: string): string | undefined {
  const swapped = /^(tcp|udp)[/:](\d+(?:-\d+)?)$/i.exec(text);
  const [ports, protocol] = swapped ? [swapped[2], swapped[1]] : text.split(/[:/]/);
  const meant = `${ports ?? ''}/${(protocol ?? 'tcp').trim().toLowerCase()}`;
  return parsePortRange(meant) === undefined ? undefined : `write ${meant}`;
}

export const flagRule: Kind<FlagRule> = parsed(parseFlags, {
  noun: 'a list of TCP flags',
  form: 'fin, syn, rst, psh, ack and urg with commas between, "!" before those that must be clear, for example "syn,!ack"',
  schema: { type: 'string', pattern: `^${FLAG}(,${FLAG})*$` },
});

export const cidr: Kind<Cidr> = parsed(usableCidr, {
  noun: 'an address or network',
  form: 'one of IPv4 or IPv6, for example 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32',
  hint: meantNetwork,
  schema: { type: 'string', pattern: `^${ADDRESS}(/\\d{1,3})?$` },
});

export const grantee: Kind<'source' | 'any' | Cidr> = parsed(
  (text) => (text === 'source' || text === 'any' ? text : usableCidr(text)),
  {
    noun: 'an address or network',
    takes: '`source`, `any`, or an address or network',
    form: 'source, any, or a network, for example 192.0.2.0/24',
    hint: meantNetwork,
    schema: { anyOf: [{ enum: ['source', 'any'] }, cidr.schema] },
  },
);

export const host: Kind<Cidr> = parsed((text) => (text.includes('/') ? undefined : usableCidr(text)), {
  noun: 'the address of one host',
  form: 'IPv4 or IPv6, for example 10.0.0.5',
  hint: (text) => (text.includes('/') ? 'name one host, without a prefix length' : meantNetwork(text)),
  schema: { type: 'string', pattern: `^${ADDRESS}$` },
});

/** The network of a text. No packet comes from IPv4 written as IPv6, so that would let nobody in, and exempt nobody. */
function usableCidr(text: string): Cidr | undefined {
  const found = parseCidr(text);
  return found === undefined || unmappedCidr(found) !== found ? undefined : found;
}

/** IPv4 written as IPv6; or an address with bits beyond the prefix: what was meant is the network around it. */
function meantNetwork(text: string): string | undefined {
  const found = parseCidr(text);
  if (found !== undefined) return `write ${formatCidr(unmappedCidr(found))}`;
  const [head = '', length = ''] = text.split('/');
  const address = parseAddress(head);
  if (address === undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const bits = Number(length);
  if (bits > HOST_BITS[address.family]) return `the length is at most ${HOST_BITS[address.family]}`;
  return `the network is ${formatCidr(networkOf(address, bits))}`;
}

function absolute(max: number): (text: string) => string | undefined {
  return (text) => {
    const plain = text.startsWith('/') && !text.endsWith('/') && !hasControl(text);
    return plain && Buffer.byteLength(text) <= max ? text : undefined;
  };
}

export const path: Kind<string> = parsed(absolute(PATH_BYTES_MAX), {
  noun: 'the absolute path of a file',
  form: 'a path that begins with /, for example /var/lib/nfknock/state.db',
  schema: pathLike(PATH_BYTES_MAX),
});

export const socketPath: Kind<string> = parsed(absolute(SOCKET_PATH_BYTES_MAX), {
  noun: 'the path of a socket',
  form: `an absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes, for example /run/nfknock/control.sock`,
  schema: pathLike(SOCKET_PATH_BYTES_MAX),
});

function pathLike(maxLength: number): Schema {
  return { type: 'string', pattern: `^${PATH}$`, maxLength };
}

/** Metrics tell who knocks and when: they are given to this machine alone. */
export const metricsPlace: Kind<string> = parsed(
  (text) => {
    const path = text.startsWith('unix:') ? text.slice(5) : text;
    if (path !== text || path.startsWith('/')) return absolute(SOCKET_PATH_BYTES_MAX)(path);
    const match = /^(127(?:\.\d{1,3}){3}|\[::1\]|localhost):(\d{1,5})$/.exec(text);
    if (match === null || Number(match[2]) < 1 || Number(match[2]) > 65_535) return undefined;
    const address = match[1] ?? '';
    return !address.startsWith('127') || parseAddress(address) !== undefined ? text : undefined;
  },
  {
    noun: 'a place on this machine',
    form: 'a Unix socket or a loopback address and port, for example unix:/run/nfknock/metrics.sock or 127.0.0.1:9477, or null',
    schema: {
      type: 'string',
      pattern: `^((unix:)?${PATH}|(127(\\.\\d{1,3}){3}|\\[::1\\]|localhost):\\d{1,5})$`,
    },
    hint: metricsMeant,
  },
);

/** The port of every example. */
const METRICS_PORT = 9477;

function metricsMeant(text: string): string | undefined {
  if (text.startsWith('unix:'))
    return `give its absolute path, at most ${SOCKET_PATH_BYTES_MAX} bytes: unix:/run/nfknock/metrics.sock`;
  // Of an address without a port the last number is none.
  const written = parseAddress(text) === undefined ? /(?:^|:)(\d{1,5})$/.exec(text)?.[1] : METRICS_PORT;
  if (written === undefined) return undefined;
  const port = Number(written);
  const place = `127.0.0.1:${port >= 1 && port <= 65_535 ? port : METRICS_PORT}`;
  return `write unix:/run/nfknock/metrics.sock or ${place}, and let a proxy with a password offer it to others`;
}

/** IFNAMSIZ without its NUL. */
const INTERFACE_CHARACTERS_MAX = 15;

/** A network interface as iptables takes it: a trailing `+` for every name that begins so. */
export const interfaceName: Kind<string> = parsed(
  (text) =>
    /^[A-Za-z0-9][A-Za-z0-9_.@-]*\+?$/.test(text) && text.length <= INTERFACE_CHARACTERS_MAX
      ? text
      : undefined,
  {
    noun: 'the name of a network interface',
    form: `at most ${INTERFACE_CHARACTERS_MAX} letters, digits and _ . @ -, for example eth0 or wg+`,
    hint: (text) => (text.startsWith('/dev/') ? `write ${quoted(text.slice(5))}` : undefined),
    // `1e0` is a name, and a number of YAML.
    schema: {
      type: ['string', 'number'],
      pattern: '^[A-Za-z0-9][A-Za-z0-9_.@\\-]*\\+?$',
      maxLength: INTERFACE_CHARACTERS_MAX,
    },
  },
);

export const queues: Kind<{ readonly first: number; readonly last: number }> = parsed(
  (text) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    const sound = match !== null && first <= last && last <= QUEUE_NUMBER_MAX && last - first < QUEUES_MAX;
    return sound ? { first, last } : undefined;
  },
  {
    noun: `a queue number from 0 to ${QUEUE_NUMBER_MAX}`,
    form: `one, or a range of at most ${QUEUES_MAX}, for example 7219-7220`,
    schema: {
      anyOf: [
        { type: 'integer', minimum: 0, maximum: QUEUE_NUMBER_MAX },
        { type: 'string', pattern: '^\\d{1,5}(-\\d{1,5})?$' },
      ],
    },
  },
);

export const argument: Kind<string> = parsed(
  (text) => (text.length <= ARGUMENT_CHARACTERS_MAX && !text.includes('\0') ? text : undefined),
  {
    noun: 'a word of a command',
    form: `a text of at most ${ARGUMENT_CHARACTERS_MAX} characters`,
    schema: { type: ['string', 'number'], maxLength: ARGUMENT_CHARACTERS_MAX },
  },
);

export function hasControl(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\u007f');
}

export const ZERO: Milliseconds = milliseconds(0);
