import { bitsOf, networkOf, textOf } from './address.ts';
import { judgeKnock, placeKnock } from './door.ts';
import { holdsAny } from './grant.ts';
import type { Late } from './late.ts';
import { known, offenderOf, strike } from './offence.ts';
import type { RefPacket } from './packet.ts';
import {
  doorsOpening,
  flagKind,
  isAllowed,
  isDecoy,
  isKnock,
  isLetIn,
  isSequencePort,
  portText,
  saidPort,
} from './port.ts';
import { REPEATED_FOR_MS } from './standing.ts';
import { age, type EventLike, type Fields, having, lacking, type Result, type State } from './state.ts';

/** Linux gives its own outgoing connections ports from this range. */
const EPHEMERAL_FIRST = 32_768;
const EPHEMERAL_LAST = 60_999;
/** Why one who holds a grant is not struck for what can be forged. */
const HOLDER = 'holds a grant';

/** No kernel repeats UDP: what comes twice so soon is one packet that was seen twice. */
const TWIN_FOR_MS = 1000;

/** Rules 2 to 8, in the order of docs/decisions/judgement.md. Bans and grants that have ended are gone already. */
export function judgePacket(state: State, packet: RefPacket, now: number): Result {
  const source = bitsOf(packet.source);
  if (state.bans.has(source) || state.bans.has(networkOf(source))) return { state, events: [] };

  const knock = isKnock(state, packet);
  const twin = knock && packet.protocol === 'udp';
  const name = twin ? `twin ${identity(packet)} ${packet.body ?? 0}` : identity(packet);
  const seen = state.seen.get(name);
  if (seen !== undefined && age(now, seen) <= (twin ? TWIN_FOR_MS : REPEATED_FOR_MS))
    return { state, events: [] };
  const remembered: State = { ...state, seen: having(state.seen, name, now) };

  const kind = flagKind(packet);
  const allowed = isAllowed(remembered, packet);
  if (allowed && !knock) return { state: remembered, events: [] };
  if (!knock && kind === 'backscatter') return { state: remembered, events: [] };
  if (!knock && kind !== 'ordinary') return judgeStealth(remembered, packet, kind, now);
  if (!knock && isSequencePort(remembered, packet)) return { state: remembered, events: [] };

  if (allowed) return judgeKnock(remembered, packet, now);
  const counted = count(remembered, packet, now);
  if (counted.exceeded && !holdsAny(state, bitsOf(packet.source))) return tooMany(counted.state, packet, now);
  if (knock) return judgeKnock(counted.state, packet, now);
  return judgeOther(counted.state, packet, now);
}

/** A packet to a knock port that is looked at later than it came, or that came to another member. */
export function judgeLate(state: State, packet: RefPacket, late: Late, now: number): Result {
  const source = bitsOf(packet.source);
  const isBanned = state.bans.has(source) || state.bans.has(networkOf(source));
  if (isBanned || !isKnock(state, packet)) return { state, events: [] };
  const came = { ...late, came: Math.min(late.came, now) };
  if (late.how === 'place') return placeKnock(state, packet, came);
  return judgeKnock(state, packet, now, came);
}

/** What makes two packets the same packet sent twice. */
function identity(packet: RefPacket): string {
  const { family, protocol, source, destination, sourcePort, port, sequence } = packet;
  const number = protocol === 'tcp' ? sequence : 'none';
  return `${family} ${protocol} ${bitsOf(source)} ${bitsOf(destination)} ${sourcePort} ${port} ${number}`;
}

/** Rule 4: flags that no client sends first. */
function judgeStealth(state: State, packet: RefPacket, kind: string, now: number): Result {
  const decoy = isDecoy(state, packet);
  if (!decoy && !isSequencePort(state, packet)) return { state, events: [] };
  const ephemeral = packet.port >= EPHEMERAL_FIRST && packet.port <= EPHEMERAL_LAST;
  const everyPortIsADecoy = decoy && state.settings.decoys === 'all';
  if (everyPortIsADecoy && packet.flags.includes('A') && ephemeral) return { state, events: [] };
  const ended = decoy ? withoutAttempts(state, packet) : state;
  const scan = { ...eventOf(state, 'scan.detected', packet, now), reason: kind };
  if (holdsAny(state, bitsOf(packet.source))) return { state: ended, events: [{ ...scan, exempt: HOLDER }] };
  const struck = strike(ended, bitsOf(packet.source), 'light', now);
  const said = { ...scan, ...struck.said };
  return { state: struck.state, events: [said, ...struck.events] };
}

interface Counted {
  readonly state: State;
  readonly exceeded: boolean;
}

/** Rule 5: one more packet of this offender in its window; the one that is too many ends the window. */
function count(before: State, packet: RefPacket, now: number): Counted {
  const { packets, per } = before.settings.bans.rate;
  const offender = offenderOf(before, bitsOf(packet.source), 'light');
  const state = known(before, offender);
  const old = state.windows.get(offender);
  const window = old === undefined || age(now, old.start) >= per ? { start: now, count: 0 } : old;
  const exceeded = window.count + 1 > packets;
  const windows = exceeded
    ? lacking(state.windows, (key) => key === offender)
    : having(state.windows, offender, { ...window, count: window.count + 1 });
  return { state: { ...state, windows }, exceeded };
}

function tooMany(state: State, packet: RefPacket, now: number): Result {
  const struck = strike(state, bitsOf(packet.source), 'light', now);
  const said = { ...eventOf(state, 'scan.detected', packet, now), reason: 'rate', ...struck.said };
  return { state: struck.state, events: [said, ...struck.events] };
}

/** Rule 8: a port that no door knocks on. */
function judgeOther(state: State, packet: RefPacket, now: number): Result {
  const source = bitsOf(packet.source);
  if (isDecoy(state, packet)) return touched(state, packet, {}, now);
  const doors = doorsOpening(state, packet);
  const entitled = isLetIn(state, source, doors);
  const protectedService = doors.length > 0 && !isAllowed(state, packet);
  if (state.settings.bans.strikeOnService && protectedService && !entitled) {
    return touched(state, packet, { reason: 'service' }, now);
  }
  return { state, events: [] };
}

function touched(state: State, packet: RefPacket, reason: Fields, now: number): Result {
  const source = bitsOf(packet.source);
  const ended = withoutAttempts(state, packet);
  const hit = { ...eventOf(state, 'decoy.hit', packet, now), ...reason };
  if (holdsAny(state, source)) return { state: ended, events: [{ ...hit, exempt: HOLDER }] };
  const place = `${source} ${portText(packet)}`;
  const before = state.touches.get(place);
  if (before !== undefined && age(now, before) <= REPEATED_FOR_MS) return { state: ended, events: [hit] };
  const struck = strike({ ...ended, touches: having(ended.touches, place, now) }, source, 'light', now);
  return { state: struck.state, events: [{ ...hit, ...struck.said }, ...struck.events] };
}

function withoutAttempts(state: State, packet: RefPacket): State {
  return {
    ...state,
    attempts: lacking(state.attempts, (key) => key.startsWith(`${bitsOf(packet.source)} `)),
  };
}

function eventOf(state: State, event: string, packet: RefPacket, now: number): EventLike {
  return { event, at: now, source: textOf(bitsOf(packet.source)), port: saidPort(state, packet) };
}
