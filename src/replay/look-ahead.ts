import { type Address, sameAddress } from '../packet/address.ts';
import { decode } from '../packet/decode.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { destinationOf, emptyPacket, type Packet, sourceOf } from '../packet/packet.ts';
import { PROTOCOL_NUMBER } from '../packet/port.ts';
import type { CaptureBatch } from '../source/pcap-batch.ts';
import { createFlows, type End, NO_FLOW } from './flows.ts';
import { LOCAL_ADDRESSES_MAX, localOf, type Receiver } from './local.ts';

/**
 * A first look at a capture's beginning. It tells whose addresses the capture was taken at, and which
 * connections were there before it began: without that, their packets would look like stray ones.
 */
export interface LookAhead {
  add(batch: CaptureBatch, count: number): void;
  /** The addresses that receive SYNs; where there is none, those that are called first. */
  local(): Address[];
  /** Each connection that was in progress, as a packet; both of its ends are tried as the source. */
  inProgress(visit: (packet: Packet) => void): void;
}

/** Connections looked at; the bits of a flow say what was seen of it. */
const LOOK_AHEAD_FLOWS_MAX = 65_536;
/** Nothing ends during the look: the one moment that the table is given. */
const ALWAYS = 1;
const BEGUN = 1;
const FROM_LOW = 2;
const FROM_HIGH = 4;

const { syn: SYN, rst: RST, ack: ACK } = TCP_FLAG;
const TCP = PROTOCOL_NUMBER.tcp;

export function createLookAhead(): LookAhead {
  const packet = emptyPacket();
  const flows = createFlows(LOOK_AHEAD_FLOWS_MAX);
  const called = createReceivers();
  const addressed = createReceivers();

  const look = (): void => {
    if (packet.protocol === TCP && (packet.flags & (SYN | ACK)) === SYN) {
      // Only the answer to a SYN tells that a connection began: of a flood's millions nothing is kept.
      called.add(packet);
      return;
    }
    const low = isFromLow(packet);
    const from: End = low ? 'near' : 'far';
    const slot = flows.find(packet, from, ALWAYS);
    if (slot === NO_FLOW) addressed.add(packet);
    const at = slot === NO_FLOW ? flows.add(packet, from, ALWAYS, ALWAYS) : slot;
    if (packet.protocol !== TCP || (packet.flags & SYN) !== 0) flows.setBits(at, flows.bits(at) | BEGUN);
    else if ((packet.flags & (ACK | RST)) === ACK) {
      flows.setBits(at, flows.bits(at) | (low ? FROM_LOW : FROM_HIGH));
    }
  };

  return {
    add(batch, count) {
      for (let i = 0; i < count; i++) {
        const wrong = decode(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0, packet);
        if (wrong === null) look();
      }
    },
    local: () => localOf(called.list().length > 0 ? called.list() : addressed.list()),
    inProgress(visit) {
      flows.each((each, bits) => {
        if (bits === (FROM_LOW | FROM_HIGH)) visit(each);
      }, emptyPacket());
    },
  };
}

interface Receivers {
  add(packet: Packet): void;
  list(): readonly Receiver[];
}

/** Who was called, in the order of the first call. */
function createReceivers(): Receivers {
  const found = new Map<string, Receiver>();
  /** The last one: nearly always the same again. */
  let last: Receiver | undefined;
  return {
    add(packet) {
      if (last?.others === true && isDestination(last.address, packet)) return;
      const receiver = found.get(keyOf(packet));
      last = receiver;
      if (receiver === undefined) {
        if (found.size === LOCAL_ADDRESSES_MAX) return;
        found.set(keyOf(packet), { address: destinationOf(packet), caller: sourceOf(packet), others: false });
      } else if (!receiver.others && !sameAddress(receiver.caller, sourceOf(packet))) receiver.others = true;
    },
    list: () => [...found.values()],
  };
}

function isDestination(address: Address, packet: Packet): boolean {
  return (
    address.a === packet.destination0 &&
    address.b === packet.destination1 &&
    address.c === packet.destination2 &&
    address.d === packet.destination3 &&
    address.family === packet.family
  );
}

function keyOf({ family, destination0, destination1, destination2, destination3 }: Packet): string {
  return family === 4 ? `${destination0}` : `${destination0},${destination1},${destination2},${destination3}`;
}

/** An order of a flow's two ends, so that both directions lead to the same entry. */
function isFromLow(packet: Packet): boolean {
  if (packet.source0 !== packet.destination0) return packet.source0 < packet.destination0;
  if (packet.source1 !== packet.destination1) return packet.source1 < packet.destination1;
  if (packet.source2 !== packet.destination2) return packet.source2 < packet.destination2;
  if (packet.source3 !== packet.destination3) return packet.source3 < packet.destination3;
  return packet.sourcePort <= packet.port;
}
