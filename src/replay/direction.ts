import { TCP_FLAG } from '../packet/flags.ts';
import type { Packet } from '../packet/packet.ts';
import { PROTOCOL_NUMBER } from '../packet/port.ts';
import { WAY } from '../source/way.ts';
import { createFlows, FLOWS_MAX, NO_FLOW } from './flows.ts';
import type { LocalAddresses } from './local.ts';

/**
 * Which packets of a capture the rules would have queued: those that come to this machine and begin something,
 * as conntrack's NEW and INVALID say. docs/replay.md tells how near this comes.
 */
export interface Direction {
  /** What became of the packet. To be asked once a packet, in the capture's order; `now` never goes back. */
  fateOf(packet: Packet, way: number, now: number): Fate;
  /** The rules accepted this packet, the last that was asked for: what follows on it belongs to a connection. */
  accepted(packet: Packet, now: number): void;
  /** A connection that was there before the capture began. */
  inProgress(packet: Packet, now: number): void;
}

export const FATE = {
  /** It comes to this machine and belongs to nothing: NEW or INVALID. */
  arrived: 0,
  /** It belongs to a connection: ESTABLISHED. */
  established: 1,
  /** This machine sent it. */
  sent: 2,
  /** It went from others to others. */
  elsewhere: 3,
} as const;

export type Fate = (typeof FATE)[keyof typeof FATE];

/** Conntrack's own timeouts (nf_conntrack_proto_tcp.c, nf_conntrack_proto_udp.c), in milliseconds. */
const TCP_ESTABLISHED_MS = 432_000_000;
const TCP_OPENING_MS = 60_000;
const TCP_CLOSING_MS = 120_000;
const UDP_MS = 30_000;
const UDP_STREAM_MS = 120_000;

/** A flow's bits: which end has sent FIN. */
const FIN_NEAR = 1;
const FIN_FAR = 2;
const FIN_BOTH = FIN_NEAR | FIN_FAR;

const { fin: FIN, syn: SYN, rst: RST, ack: ACK } = TCP_FLAG;
const TCP = PROTOCOL_NUMBER.tcp;

export function createDirection(local: LocalAddresses): Direction {
  // A packet that is dropped leaves no entry in conntrack. So only what this machine sends, and what the rules
  // accept, makes a flow; a flood of forged SYNs makes none.
  const flows = createFlows(FLOWS_MAX);

  const sent = (packet: Packet, now: number): void => {
    const slot = flows.find(packet, 'near', now);
    if (packet.protocol !== TCP) {
      if (slot === NO_FLOW) flows.add(packet, 'near', now, now + UDP_MS);
      else flows.extend(slot, now + UDP_STREAM_MS);
      return;
    }
    if ((packet.flags & RST) !== 0) {
      if (slot !== NO_FLOW) flows.remove(slot);
      return;
    }
    const opening = (packet.flags & SYN) !== 0;
    const until = now + (opening ? TCP_OPENING_MS : TCP_ESTABLISHED_MS);
    const at = slot === NO_FLOW ? flows.add(packet, 'near', now, until) : slot;
    progress(at, packet, FIN_NEAR, now, until);
  };
  const progress = (slot: number, packet: Packet, fin: number, now: number, until: number): void => {
    if ((packet.flags & FIN) !== 0) flows.setBits(slot, flows.bits(slot) | fin);
    flows.extend(slot, flows.bits(slot) === FIN_BOTH ? now + TCP_CLOSING_MS : until);
  };
  /** Whether the packet belongs to a flow. */
  const belongs = (packet: Packet, now: number): boolean => {
    const slot = flows.find(packet, 'far', now);
    if (slot === NO_FLOW) return false;
    if (packet.protocol !== TCP) {
      flows.extend(slot, now + UDP_STREAM_MS);
      return true;
    }
    if ((packet.flags & RST) !== 0) {
      flows.remove(slot);
      return true;
    }
    if ((packet.flags & (SYN | ACK)) === SYN && flows.bits(slot) === FIN_BOTH) {
      // The same ports again after a close: conntrack takes it for a new connection.
      flows.remove(slot);
      return false;
    }
    progress(slot, packet, FIN_FAR, now, now + TCP_ESTABLISHED_MS);
    return true;
  };

  return {
    fateOf(packet, way, now) {
      if (way === WAY.other) return FATE.elsewhere;
      // Where a capture says that a packet came in, its source may be forged to look like this machine's.
      if (
        way === WAY.outbound ||
        (way === WAY.unknown && local.isSource(packet) && !local.isDestination(packet))
      ) {
        sent(packet, now);
        return FATE.sent;
      }
      if (!local.isDestination(packet)) return FATE.elsewhere;
      return belongs(packet, now) ? FATE.established : FATE.arrived;
    },
    accepted(packet, now) {
      const slot = flows.find(packet, 'far', now);
      const until = now + (packet.protocol === TCP ? TCP_OPENING_MS : UDP_MS);
      if (slot === NO_FLOW) flows.add(packet, 'far', now, until);
    },
    inProgress(packet, now) {
      flows.add(packet, 'near', now, now + TCP_ESTABLISHED_MS);
    },
  };
}
