import type { Packet } from '../packet/packet.ts';
import { PORT_MAX, PROTOCOL_NUMBER } from '../packet/port.ts';

/** Packets a port. */
export interface PortCounts {
  add(packet: Packet): void;
  /** Those with most packets, at most `limit`. */
  readonly most: (limit: number) => readonly (readonly [port: string, count: number])[];
}

/** UDP stands behind TCP. */
const UDP_FROM = PORT_MAX + 1;

export function createPortCounts(): PortCounts {
  const counts = new Uint32Array(2 * UDP_FROM);
  return {
    add({ protocol, port }) {
      const at = (protocol === PROTOCOL_NUMBER.udp ? UDP_FROM : 0) + port;
      counts[at] = (counts[at] ?? 0) + 1;
    },
    most(limit) {
      const found: { at: number; count: number }[] = [];
      counts.forEach((count, at) => {
        if (count > 0) found.push({ at, count });
      });
      found.sort((a, b) => b.count - a.count || a.at - b.at);
      return found
        .slice(0, limit)
        .map(({ at, count }) => [at >= UDP_FROM ? `${at - UDP_FROM}/udp` : `${at}/tcp`, count]);
    },
  };
}
