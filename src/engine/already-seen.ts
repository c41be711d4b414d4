import type { Packet } from '../packet/packet.ts';
import { RETRANSMISSION_WINDOW, TWIN_WINDOW } from '../policy/limits.ts';
import { ROLE } from '../policy/port-roles.ts';
import type { State } from './state.ts';

/* Rule 3: what is no packet of its own, and which touch of a decoy is one that was struck already. */

/** What of the packet in hand decides how it is known again. */
export interface Sight {
  role: number;
  now: number;
  /** A knock that no kernel repeats: only its twin, byte for byte, is the same packet. */
  twin: boolean;
  /** The fingerprint of this host at this port. */
  touchLow: number;
  touchHigh: number;
  /** What was read only to have it at hand. */
  touched: number;
}

/** Ports whose touch can be a strike by rule 8. */
const TOUCHED = ROLE.decoy | ROLE.service;

/**
 * Most packets of a flood are from sources that were never seen: what is to be read about them is in no cache. Each
 * read of its own would be waited for; these are asked for at once. What is read is of no matter.
 */
export function lookUp(state: State, sight: Sight, packet: Packet): void {
  const { attempts, bans, offenders, retransmissions, subjects } = state;
  const { subject, output } = subjects;
  if ((sight.role & TOUCHED) !== 0) {
    subjects.fingerprintTouch(packet.protocol, packet.port);
    sight.touchLow = output[0] ?? 0;
    sight.touchHigh = output[1] ?? 0;
  }
  if (sight.twin) subjects.fingerprintBytes(packet);
  else subjects.fingerprint(packet);
  sight.touched =
    attempts.table.touch(subject.hostHash) ^
    offenders.table.touch(subject.offenderHash) ^
    bans.touch(subject) ^
    retransmissions.touch(output[0] ?? 0) ^
    retransmissions.touch(sight.touchLow);
}

/** Whether it was seen; a repeat of a knock from another port is known in rule 6. `lookUp` has just been called. */
export function isSeenAgain({ retransmissions, subjects }: State, { now, twin }: Sight): boolean {
  // By index: taken apart as a pattern, a typed array would be iterated.
  const { output } = subjects;
  return retransmissions.seen(
    output[0] ?? 0,
    output[1] ?? 0,
    now,
    twin ? TWIN_WINDOW : RETRANSMISSION_WINDOW,
  );
}

/** A retry, or the second and third socket of a browser, is no further strike. */
export function isTouchedAgain({ retransmissions }: State, { now, touchLow, touchHigh }: Sight): boolean {
  return retransmissions.seen(touchLow, touchHigh, now, RETRANSMISSION_WINDOW);
}
