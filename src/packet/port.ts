export type Protocol = 'tcp' | 'udp';

/** IANA protocol numbers, as they stand in the IP header. */
export const PROTOCOL_NUMBER: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 };

export const PORT_MAX = 65_535;

/** A port number, 1–65535. */
export type Port = number & { readonly __brand: 'Port' };

export interface PortSpec {
  readonly protocol: Protocol;
  readonly port: Port;
  /** So many last digits are those of a one-time code: it stands for as many ports, of which `port` is the first. */
  readonly digits?: number;
}

/** `first` to `last`, both included. */
export interface PortRange {
  readonly protocol: Protocol;
  readonly first: Port;
  readonly last: Port;
}

export function isPort(value: number): value is Port {
  return Number.isInteger(value) && value >= 1 && value <= PORT_MAX;
}

/** Reads `22/tcp`, `53/udp`, `6000-6100/tcp`; a bare number or range is tcp. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (!isPort(first) || !isPort(last) || first > last) return undefined;
  return { protocol: match[3] === 'udp' ? 'udp' : 'tcp', first, last };
}

/** Reads one port: `7000/tcp`, `8000/udp`, `9000`. */
export function parsePort(text: string): PortSpec | undefined {
  const range = parsePortRange(text);
  if (range === undefined || range.first !== range.last || text.includes('-')) return undefined;
  return { protocol: range.protocol, port: range.first };
}

/** Reads one port, or one whose last digits are a code's: `1????/tcp` is every port from 10000 to 19999. */
export function parseKnock(text: string): PortSpec | undefined {
  const match = /^([1-9]\d{0,3})(\?{1,4})(?:\/(tcp|udp))?$/.exec(text);
  if (match === null) return parsePort(text);
  const digits = match[2]?.length ?? 0;
  const port = Number(match[1]) * 10 ** digits;
  if (!isPort(port) || !isPort(port + 10 ** digits - 1)) return undefined;
  return { protocol: match[3] === 'udp' ? 'udp' : 'tcp', port, digits };
}

/** Every port that a knock may be. */
export function rangeOf({ protocol, port, digits = 0 }: PortSpec): PortRange {
  return { protocol, first: port, last: (port + 10 ** digits - 1) as Port };
}

export function formatPort({ protocol, port, digits = 0 }: PortSpec): string {
  const text = `${port}`;
  return `${text.slice(0, text.length - digits)}${'?'.repeat(digits)}/${protocol}`;
}

export function formatPortRange(range: PortRange): string {
  const ports = range.first === range.last ? `${range.first}` : `${range.first}-${range.last}`;
  return `${ports}/${range.protocol}`;
}

/** Whether some port is in both. */
export function meet(a: PortRange, b: PortRange): boolean {
  return a.protocol === b.protocol && a.first <= b.last && b.first <= a.last;
}

export function inRange(range: PortRange, spec: PortSpec): boolean {
  return range.protocol === spec.protocol && spec.port >= range.first && spec.port <= range.last;
}
