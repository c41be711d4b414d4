import { PORT_MAX, type PortRange, type PortSpec, type Protocol, rangeOf } from '../packet/port.ts';

/** Ports of one protocol, `first` to `last`, both included; in a list: ascending, apart from each other. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** Ports of both protocols. */
export type Ports = Readonly<Record<Protocol, readonly Span[]>>;

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp'];

/** Ports that one `-m multiport` match can name; a range counts as two (XT_MULTI_PORTS of the kernel). */
const MULTIPORT_MAX = 15;

export const NO_PORTS: Ports = { tcp: [], udp: [] };

export function portsOf(ranges: readonly (PortRange | PortSpec)[]): Ports {
  const of = (protocol: Protocol): readonly Span[] =>
    merged(ranges.filter((range) => range.protocol === protocol).map(spanOf));
  return { tcp: of('tcp'), udp: of('udp') };
}

export function union(...many: readonly Ports[]): Ports {
  return {
    tcp: merged(many.flatMap((ports) => ports.tcp)),
    udp: merged(many.flatMap((ports) => ports.udp)),
  };
}

export function without(ports: Ports, taken: Ports): Ports {
  return { tcp: difference(ports.tcp, taken.tcp), udp: difference(ports.udp, taken.udp) };
}

export function common(x: Ports, y: Ports): Ports {
  return { tcp: intersection(x.tcp, y.tcp), udp: intersection(x.udp, y.udp) };
}

/** How many ports there are. */
export function countPorts({ tcp, udp }: Ports): number {
  return [...tcp, ...udp].reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

export function hasPort(ports: Ports, { protocol, port }: { protocol: Protocol; port: number }): boolean {
  return ports[protocol].some(({ first, last }) => port >= first && port <= last);
}

export function hasPorts(ports: Ports): boolean {
  return ports.tcp.length > 0 || ports.udp.length > 0;
}

/** The matches that together hold these ports and no other: `-p tcp -m multiport --dports 22,80:90`. */
export function dports(ports: Ports): readonly string[] {
  return PROTOCOLS.flatMap((protocol) =>
    multiports(ports[protocol]).map((list) => `-p ${protocol} -m multiport --dports ${list}`),
  );
}

/** What `-m multiport --dports` takes: as few lists as hold all ports, each of at most 15 entries. */
export function multiports(spans: readonly Span[]): string[] {
  const lists: string[] = [];
  let list: string[] = [];
  let room = MULTIPORT_MAX;
  for (const { first, last } of spans) {
    const entries = first === last ? 1 : 2;
    if (entries > room) {
      lists.push(list.join(','));
      list = [];
      room = MULTIPORT_MAX;
    }
    list.push(first === last ? `${first}` : `${first}:${last}`);
    room -= entries;
  }
  if (list.length > 0) lists.push(list.join(','));
  return lists;
}

function spanOf(range: PortRange | PortSpec): Span {
  const { first, last } = 'port' in range ? rangeOf(range) : range;
  return { first, last };
}

function merged(spans: readonly Span[]): readonly Span[] {
  const sorted = [...spans].sort((x, y) => x.first - y.first);
  const result: Span[] = [];
  for (const span of sorted) {
    const before = result.at(-1);
    if (before !== undefined && span.first <= before.last + 1) {
      result[result.length - 1] = { first: before.first, last: Math.max(before.last, span.last) };
    } else {
      result.push(span);
    }
  }
  return result;
}

function intersection(spans: readonly Span[], others: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  let next = 0;
  for (const span of spans) {
    while ((others[next]?.last ?? PORT_MAX) < span.first) next += 1;
    for (let at = next; at < others.length; at += 1) {
      const other = others[at];
      if (other === undefined || other.first > span.last) break;
      result.push({ first: Math.max(span.first, other.first), last: Math.min(span.last, other.last) });
    }
  }
  return result;
}

/** Both ascending: each is gone through once, since a configuration may name thousands. */
function difference(spans: readonly Span[], taken: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  let next = 0;
  for (const span of spans) {
    let from = span.first;
    while ((taken[next]?.last ?? PORT_MAX) < from) next += 1;
    for (let at = next; at < taken.length; at += 1) {
      const hole = taken[at];
      if (hole === undefined || hole.first > span.last) break;
      if (hole.first > from) result.push({ first: from, last: hole.first - 1 });
      from = hole.last + 1;
    }
    if (from <= span.last) result.push({ first: from, last: span.last });
  }
  return result;
}
