import { type Address, parseAddress } from '../packet/address.ts';
import { isPort, type PortSpec } from '../packet/port.ts';
import { decodeBase64 } from './base64.ts';
import { type Digest, digestOf } from './fwknop-crypto.ts';

/** What a packet of fwknop says. */
export interface FwknopFields {
  /** 16 digits that make every packet another. */
  readonly random: string;
  readonly user: string;
  /** Seconds since 1970, on the sender's clock. */
  readonly time: number;
  readonly version: string;
  /** 0 command, 1 access, 2 NAT, 5 local NAT; 3, 4 and 6 are 1, 2 and 5 with a time. */
  readonly type: number;
  readonly message: string;
  readonly nat: string | null;
  readonly serverAuth: string | null;
  /** Seconds that the door is asked to be open for; 0: the door's own. */
  readonly timeout: number;
  readonly digest: string;
  readonly digestType: Digest;
}

/** An access message: for whom, and what. */
export interface FwknopAccess {
  /** Null: the address that the packet comes from (the client's -s). */
  readonly address: Address | null;
  /** Without repeats. */
  readonly ports: readonly PortSpec[];
}

/** The host and port behind this machine that a NAT packet names. */
export interface FwknopNat {
  readonly host: Address;
  readonly port: number;
}

/** The client refuses longer ones (its -f). */
const TIMEOUT_MAX = 65_536;
/** Ports in one packet: as many as 440 bytes hold, and more than its client sends. */
const PORTS_MAX = 16;
export const TYPE = {
  command: 0,
  access: 1,
  nat: 2,
  accessFor: 3,
  natFor: 4,
  localNat: 5,
  localNatFor: 6,
} as const;
const TIMED: readonly number[] = [TYPE.accessFor, TYPE.natFor, TYPE.localNatFor];
const WITH_NAT: readonly number[] = [TYPE.nat, TYPE.natFor, TYPE.localNat, TYPE.localNatFor];

/** Reads the deciphered text. `digest`: the digest within is wrong; `fields`: it is right and the rest is not. */
export function parseFields(plain: string): FwknopFields | 'digest' | 'fields' {
  const colon = plain.lastIndexOf(':');
  if (colon < 0) return 'digest';
  const digest = plain.slice(colon + 1);
  const digestType = digestOf(plain.slice(0, colon), digest);
  if (digestType === undefined) return 'digest';
  const [random = '', user = '', time = '', version = '', type = '', message = '', ...rest] = plain
    .slice(0, colon)
    .split(':');
  const known = /^\d{16}$/.test(random) && /^\d{1,10}$/.test(time) && /^[0-9.]{1,16}$/.test(version);
  if (!known || !/^[0-6]$/.test(type)) return 'fields';
  const tail = tailOf(Number(type), rest);
  const userText = textOf(user);
  const messageText = textOf(message);
  if (tail === undefined || userText === undefined || messageText === undefined) return 'fields';
  return {
    random,
    user: userText,
    time: Number(time),
    version,
    type: Number(type),
    message: messageText,
    ...tail,
    digest,
    digestType,
  };
}

/** What may follow the message: `[nat][:server_auth][:timeout]`, of which the type says the first and the last. */
function tailOf(
  type: number,
  rest: readonly string[],
): Pick<FwknopFields, 'nat' | 'serverAuth' | 'timeout'> | undefined {
  const fields = [...rest];
  const nat = WITH_NAT.includes(type) ? textOf(fields.shift() ?? '') : null;
  const last = TIMED.includes(type) ? (fields.pop() ?? '') : '0';
  const serverAuth = fields.length === 0 ? null : textOf(fields.shift() ?? '');
  if (nat === undefined || serverAuth === undefined || fields.length > 0) return undefined;
  if (!/^\d{1,5}$/.test(last) || Number(last) > TIMEOUT_MAX) return undefined;
  return { nat, serverAuth, timeout: Number(last) };
}

/** A field in base64, never empty; undefined: it is not. */
function textOf(field: string): string | undefined {
  return field === '' ? undefined : decodeBase64(field)?.toString('utf8');
}

/** Reads `192.0.2.7,tcp/22,udp/53`. */
export function parseAccess(message: string): FwknopAccess | undefined {
  const [host = '', ...items] = message.split(',');
  const address = parseAddress(host);
  if (address === undefined || address.family !== 4 || items.length === 0 || items.length > PORTS_MAX)
    return undefined;
  const ports = new Map<string, PortSpec>();
  for (const item of items) {
    const match = /^(tcp|udp)\/(\d{1,5})$/.exec(item);
    const port = Number(match?.[2]);
    if (match === null || !isPort(port)) return undefined;
    ports.set(item, { protocol: match[1] === 'udp' ? 'udp' : 'tcp', port });
  }
  return { address: address.a === 0 ? null : address, ports: [...ports.values()] };
}

/** Reads `10.0.0.5,22`; a name instead of an address is undefined, since nobody is asked what it means. */
export function parseNat(text: string): FwknopNat | undefined {
  const match = /^([^,]+),(\d{1,5})$/.exec(text);
  const host = parseAddress(match?.[1] ?? '');
  const port = Number(match?.[2]);
  return host === undefined || !isPort(port) ? undefined : { host, port };
}
