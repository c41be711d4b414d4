import { PORT_MAX, type PortRange, type PortSpec, type Protocol } from '../packet/port.ts';

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
  return without(x, without(x, y));
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
  return 'port' in range ? { first: range.port, last: range.port } : { first: range.first, last: range.last };
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

function difference(spans: readonly Span[], taken: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  for (const span of spans) {
    let from = span.first;
    for (const hole of taken) {
      if (hole.last < from || hole.first > span.last) continue;
      if (hole.first > from) result.push({ first: from, last: hole.first - 1 });
      from = hole.last + 1;
    }
    if (from <= Math.min(span.last, PORT_MAX)) result.push({ first: from, last: span.last });
  }
  return result;
}
