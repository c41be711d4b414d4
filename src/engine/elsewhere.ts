import type { Packet } from '../packet/packet.ts';
import { portKey } from '../packet/port-key.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { partEntries } from './alike.ts';
import { isSeenAgain, lookUp } from './already-seen.ts';
import { candidatesOf } from './candidates.ts';
import { FOUND, type Knock } from './describe.ts';
import type { Emit, EngineEvent } from './event.ts';
import { isHeldUp } from './held-up.ts';
import { HOW } from './in-time.ts';
import { judgeKnock } from './knock.ts';
import { countKnocks, countTouches } from './offender-scope.ts';
import type { Outcome } from './outcome.ts';
import { advance } from './progress.ts';
import { collectAttempts, type State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';
import type { Touch, Touches } from './touch.ts';

/*
 * Knocks of one client that come to several members of a fleet. An attempt stays where its first knock came. A packet
 * that is wrong here, or would break an attempt, stands aside (`elsewhere`), since its predecessor may have come to another
 * member; each member tries to place it; where nobody could, it is concluded: what it would have done alone is done then,
 * but to no attempt that began after it. The order of the knocks goes on counting: a packet is only placed by its own
 * moment, an attempt that goes on past a packet that stood aside lets one more wrong packet pass than its door says, and
 * nothing opens while more of the source's packets stand aside than that.
 */

/** How a packet is known of that is looked at later than it came, or that came to another member. */
export interface Late {
  /** When it came, on this machine's clock. */
  readonly came: Milliseconds;
  /** To which other member; null: here. */
  readonly origin: string | null;
  /** How far the clocks of two members may be apart, in milliseconds. */
  readonly slack: number;
  /** Whether it has waited so long that what came to others at the same time is known. */
  readonly quiet: boolean;
}

/** `known`: a step that was made already. `unsure`: the next step, as far as clocks can tell, which is not far enough. */
export type Placed = 'advanced' | 'known' | 'unsure' | 'none';

/** What a fleet's members do with each other's knocks. */
export interface Shared {
  /** Goes on with an attempt by this packet, if one waits for it; changes nothing else. */
  place(packet: Packet, late: Late, now: Milliseconds, emit: Emit): Placed;
  /** Nobody had a use for the packet: it is wrong now. */
  conclude(packet: Packet, late: Late, now: Milliseconds, emit: Emit): Outcome;
  /** It went on with an attempt, and may have broken another, for which nobody had a use for it. */
  concludeRest(packet: Packet, late: Late, now: Milliseconds, emit: Emit): void;
  /** Another member struck it, as a touch of a decoy or a scan: so does this one. */
  offend(packet: Packet, origin: string, now: Milliseconds, emit: Emit): Outcome;
  /** Whether this very packet was seen here already; it is from now on. */
  meet(packet: Packet, now: Milliseconds): boolean;
  /** Whether the packet's source has an attempt here. */
  isUnderWay(packet: Packet): boolean;
  /** Whether the packet that was judged last went on with one attempt, and left another that it may break. */
  leavesSome(): boolean;
  /** Steps of the longest sequence. */
  longest(): number;
  /** Whether the port is a step after the first of some sequence. */
  isLater(protocol: number, port: number): boolean;
}

interface SharedParts {
  readonly state: State;
  readonly current: Touch;
  readonly touches: Touches;
  readonly load: (packet: Packet, now: Milliseconds) => void;
  readonly isBanned: () => boolean;
  readonly expire: (now: Milliseconds, emit: Emit) => void;
}

export function createShared({ state, current, touches, load, isBanned, expire }: SharedParts): Shared {
  const { subject } = state.subjects;

  function enter(packet: Packet, now: Milliseconds, emit: Emit): void {
    expire(now, emit);
    state.turn += 1;
    load(packet, now);
  }

  /** Whether the packet is a knock of a source that is not banned; its attempts have been collected then. */
  function begin(
    packet: Packet,
    { came, origin, slack, quiet }: Late,
    now: Milliseconds,
    emit: Emit,
  ): boolean {
    enter(packet, now, emit);
    if (!current.knock || isBanned()) return false;
    current.came = Math.min(came, now);
    current.told = origin !== null;
    current.slack = slack;
    current.quiet = quiet;
    countKnocks(state, subject);
    collectAttempts(state, subject);
    return true;
  }

  return {
    place(packet, late, now, emit) {
      if (!begin(packet, late, now, emit)) return 'none';
      current.how = HOW.placed;
      current.now = milliseconds(current.came);
      return placeKnock(state, subject, current, withOrigin(late.origin, emit));
    },
    conclude(packet, late, now, emit) {
      if (!begin(packet, late, now, emit)) return 'ignored';
      current.how = HOW.concluded;
      return judgeKnock(state, subject, current, withOrigin(late.origin, emit));
    },
    concludeRest(packet, late, now, emit) {
      if (!begin(packet, late, now, emit)) return;
      current.how = HOW.rest;
      // It was no offence.
      current.observed = true;
      judgeKnock(state, subject, current, withOrigin(late.origin, emit));
    },
    offend(packet, origin, now, emit) {
      enter(packet, now, emit);
      lookUp(state, current, packet);
      if (isBanned()) return 'banned';
      if (current.knock || current.observed || isSeenAgain(state, current)) return 'ignored';
      countTouches(state, subject);
      const said = withOrigin(origin, emit);
      return (current.tcp ? touches.judgeFlags(said) : undefined) ?? touches.judgeDecoy(said);
    },
    meet(packet, now) {
      load(packet, now);
      // Of a UDP packet its bytes say whether it is the same, and they are not told.
      if (!current.tcp) return false;
      lookUp(state, current, packet);
      return isSeenAgain(state, current);
    },
    isUnderWay(packet) {
      state.subjects.ofPacket(packet);
      collectAttempts(state, subject);
      for (let index = 0; index < state.held; index += 1) {
        if (state.attempts.step(state.slots[index] ?? NONE) > 0) return true;
      }
      return false;
    },
    leavesSome: () => state.leaves,
    longest: () => Math.max(1, ...state.ports.sequences.map(({ steps }) => steps.length)),
    isLater: (protocol, port) => {
      const key = portKey(protocol, port);
      return state.ports.isLater(state.ports.codes?.first[key] ?? key);
    },
  };
}

function placeKnock(state: State, subject: Subject, knock: Knock, emit: Emit): Placed {
  partEntries(state, subject, knock);
  const candidates = candidatesOf(state, subject, knock);
  if (isHeldUp(state, subject, knock, candidates)) return 'none';
  let found = 0;
  for (const candidate of candidates) {
    found |= FOUND[candidate.explanation];
    if (candidate.explanation === 'advances') advance(state, subject, knock, candidate, emit);
  }
  if ((found & FOUND.advances) !== 0) return 'advanced';
  if ((found & FOUND['too fast']) !== 0) return 'unsure';
  return (found & (FOUND.repeat | FOUND.guarded)) === 0 ? 'none' : 'known';
}

/** What is said of a packet that came to another member names that; what comes of it is this member's own doing. */
function withOrigin(origin: string | null, emit: Emit): Emit {
  if (origin === null) return emit;
  return (event: EngineEvent) => {
    switch (event.event) {
      case 'knock.accepted':
      case 'knock.wrong':
      case 'decoy.hit':
      case 'scan.detected':
        emit({ ...event, origin });
        return;
      default:
        emit(event);
    }
  };
}
