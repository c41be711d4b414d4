import { type Cidr, contains } from '../../src/packet/cidr.ts';
import { decode } from '../../src/packet/decode.ts';
import { emptyPacket, reversed } from '../../src/packet/packet.ts';
import { createDirection, FATE } from '../../src/replay/direction.ts';
import { createLocalAddresses } from '../../src/replay/local.ts';
import { createLookAhead } from '../../src/replay/look-ahead.ts';
import { createCaptureReader } from '../../src/source/pcap.ts';
import { openCapture } from '../../src/source/pcap-input.ts';
import { addressOf, placesOf } from './readdress.ts';

/** A packet that somebody sent to the captured machine. */
export interface Played {
  /** Milliseconds since 1970, with a fraction. */
  readonly stamp: number;
  readonly bytes: Uint8Array;
}

/** What of a capture can be played, and how much of it can't. */
export interface Strangers {
  readonly packets: readonly Played[];
  /**
   * What the captured machine sent itself, what belongs to its own conversations (the machine that plays its part
   * would answer otherwise), what was for others, what is too long for the wire or was not captured whole.
   */
  readonly left: number;
  /** Why the capture could not be read to its end; undefined where it was. */
  readonly fault: string | undefined;
}

/** An Ethernet frame's payload. */
const WIRE_BYTES_MAX = 1500;
/** Bytes of a capture that are held at once: the lab plays captures of attacks, not of days. */
const CAPTURE_BYTES_MAX = 268_435_456;

/** The packets of a capture that were new to the captured machine, whose addresses are `here`, in their order. */
export async function strangersOf(file: string, here: readonly Cidr[]): Promise<Strangers> {
  const input = await openCapture(file, process.stdin);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input.chunks) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > CAPTURE_BYTES_MAX) {
      throw new Error(
        `${file} is larger than ${CAPTURE_BYTES_MAX} bytes: play a part of it (editcap, tcpdump -r)`,
      );
    }
  }
  const lookAhead = createLookAhead();
  const first = createCaptureReader(lookAhead.add);
  for (const chunk of chunks) first.push(chunk);

  const local = createLocalAddresses(here);
  const direction = createDirection(local);
  const packet = emptyPacket();
  const packets: Played[] = [];
  let total = 0;
  let begun = false;

  /** Whether it comes to the captured machine and belongs to nothing that it takes part in. */
  const isNew = (whole: Uint8Array, way: number, now: number): boolean => {
    const wrong = decode(whole, 0, whole.length, packet);
    if (wrong === null) return direction.fateOf(packet, way, now) === FATE.arrived;
    // Fragments, and what is broken: by its address alone.
    const places = placesOf(whole);
    if (places === undefined || wrong === 'protocol') return false;
    const at = places.destination;
    const destination = addressOf(whole.subarray(at, at + places.bytes));
    return here.some((network) => contains(network, destination));
  };
  const second = createCaptureReader((batch, count) => {
    for (let i = 0; i < count; i++) {
      const at = batch.offsets[i] ?? 0;
      const whole = batch.bytes.slice(at, at + (batch.lengths[i] ?? 0));
      const stamp = batch.stamps[i] ?? 0;
      if (!begun) {
        begun = true;
        lookAhead.inProgress((each) => {
          if (local.isSource(each)) direction.inProgress(each, stamp);
          else if (local.isDestination(each)) direction.inProgress(reversed(each), stamp);
        });
      }
      total++;
      const isWhole = whole.length >= (batch.fullLengths[i] ?? 0) && whole.length <= WIRE_BYTES_MAX;
      if (isNew(whole, batch.ways[i] ?? 0, stamp) && isWhole) packets.push({ stamp, bytes: whole });
    }
  });
  for (const chunk of chunks) second.push(chunk);
  return { packets, left: total - packets.length, fault: second.end()?.text ?? input.fault() };
}
