import type { Address } from '../packet/address.ts';
import type { MalformedReason } from '../packet/decode.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import type { Packet } from '../packet/packet.ts';
import { type Port, PROTOCOL_NUMBER } from '../packet/port.ts';
import { portKey, specOf } from '../packet/port-key.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import { ROLE } from '../policy/port-roles.ts';
import { isSeenAgain, isTouchedAgain, lookUp } from './already-seen.ts';
import type { Command, CommandAnswer } from './command.ts';
import { execute } from './commands.ts';
import { end } from './door.ts';
import type { Emit, ScanReason } from './event.ts';
import type { ExemptReason } from './exempt.ts';
import { shapeOf } from './flag-match.ts';
import type { HashKey } from './hash.ts';
import { judgeKnock } from './knock.ts';
import { banIfDue, counted, strike } from './offence.ts';
import { countKnocks, countTouches } from './offender-scope.ts';
import type { Outcome } from './outcome.ts';
import type { EngineSettings } from './settings.ts';
import { collectAttempts, createState, endAttempts } from './state.ts';
import { hostOf } from './subject.ts';
import { NONE } from './table.ts';
import { type Views, viewsOf } from './views.ts';

/*
 * Theory of operation. The engine is a state machine: packets, commands and time go in, events come out. It reads
 * no clock, does no I/O, never throws on any input, and its memory is bounded by its settings. `judge` reads as
 * the rules do, one step a rule, in their order; docs/decisions/judgement.md settles their corners. What a packet
 * does to the sequences is in knock.ts, what opens and closes in door.ts, strikes and bans in offence.ts.
 */
export interface Engine extends Views {
  /** Judges one decoded packet. Ends of grants and bans that are due at `now` come first. */
  judge(packet: Packet, now: Milliseconds, emit: Emit): Outcome;
  /** Rule 1: a packet that `decode` refused. */
  malformed(reason: MalformedReason, now: Milliseconds, emit: Emit): Outcome;
  execute(command: Command, now: Milliseconds, emit: Emit): CommandAnswer;
  /** Ends the grants and bans whose time has come, in the order of their times. */
  expire(now: Milliseconds, emit: Emit): void;
  /** When `expire` has something to do next, or Infinity. */
  deadline(): number;
}

export function createEngine(settings: EngineSettings, key: HashKey): Engine {
  const state = createState(settings, key);
  const { subject } = state.subjects;
  /** What the rules share about the packet in hand. */
  const current = {
    key: 0,
    flags: 0,
    now: 0,
    role: 0,
    tcp: false,
    stamped: true,
    observed: false,
    knock: false,
    twin: false,
    touched: 0,
    touchLow: 0,
    touchHigh: 0,
  };

  function judge(packet: Packet, now: Milliseconds, emit: Emit): Outcome {
    expire(now, emit);
    state.turn += 1;
    load(packet, now);
    lookUp(state, current, packet);
    if (isBanned()) return 'banned';
    if (isSeenAgain(state, current)) return 'retransmission';
    const { knock } = current;
    countTouches(state, subject);
    if (current.tcp && !knock) {
      const outcome = judgeFlags(emit);
      if (outcome !== undefined) return outcome;
    }
    if (!current.observed && exceedsRate()) return scan('rate', false, emit);
    if (knock) {
      countKnocks(state, subject);
      collectAttempts(state, subject);
      return judgeKnock(state, subject, current, emit);
    }
    return judgeDecoy(emit);
  }

  function load(packet: Packet, now: Milliseconds): void {
    state.subjects.ofPacket(packet);
    current.key = portKey(packet.protocol, packet.port);
    current.tcp = packet.protocol === PROTOCOL_NUMBER.tcp;
    current.flags = packet.flags;
    current.stamped = packet.stamped;
    current.now = now;
    current.role = state.ports.role(current.key);
    // A knock port with a live service behind it: its visitors are no offenders.
    current.observed = (current.role & ROLE.allow) !== 0;
    current.knock = isKnock();
    current.twin = current.knock && !current.tcp;
  }

  /** Rule 2. */
  function isBanned(): boolean {
    return state.bans.size() > 0 && state.bans.covering(subject) !== NONE;
  }

  function isKnock(): boolean {
    return (
      (current.role & ROLE.knock) !== 0 && state.ports.isKnock(current.key, current.flags) && gateIsOpen()
    );
  }

  /** A knock port that another door opens is one only for those who hold that door's grant. */
  function gateIsOpen(): boolean {
    return (current.role & ROLE.chained) === 0 || holdsOpener();
  }

  function holdsOpener(): boolean {
    const openers = state.ports.openers(current.key);
    return state.grants.heldBy(subject).some((grant) => openers.includes(grant.door)) || opensToAll(openers);
  }

  function opensToAll(openers: readonly number[]): boolean {
    return openers.some((door) => state.grants.find(door, 'any') !== undefined);
  }

  /** Rule 4, for a TCP packet that is no knock; undefined where the later rules go on. */
  function judgeFlags(emit: Emit): Outcome | undefined {
    if (current.observed) return 'ignored';
    const shape = shapeOf(current.flags);
    const knockPort = (current.role & ROLE.knock) !== 0 && gateIsOpen();
    if (shape === 'backscatter') return 'backscatter';
    if (shape === 'ordinary') return knockPort ? 'ignored' : undefined;
    if (knockPort) return scan(shape, false, emit);
    if ((current.role & ROLE.decoy) === 0 || isRemains()) return 'ignored';
    return scan(shape, true, emit);
  }

  /** What arrives of this machine's own outgoing connections once conntrack has forgotten them. */
  function isRemains(): boolean {
    const { key, role, flags } = current;
    const every = state.settings.decoys === 'all';
    const ephemeral = key >= EPHEMERAL_FIRST && key <= EPHEMERAL_LAST;
    return (role & ROLE.decoy) !== 0 && every && ephemeral && (flags & TCP_FLAG.ack) !== 0;
  }

  /** Rule 5. Who holds a grant is not counted: such packets can be forged in its name. */
  function exceedsRate(): boolean {
    const exceeds = state.offenders.exceeds(state.offenders.put(subject), current.now);
    return exceeds && state.grants.heldBy(subject).length === 0;
  }

  /** Rule 8. */
  function judgeDecoy(emit: Emit): Outcome {
    const service = (current.role & ROLE.service) !== 0;
    if (service ? !state.settings.bans.strikeOnService || holdsOpener() : (current.role & ROLE.decoy) === 0) {
      return 'ignored';
    }
    endAttempts(state, subject);
    const holds = state.grants.heldBy(subject).length > 0;
    // What is no strike is not noted as touched.
    const again = !holds && isTouchedAgain(state, current);
    const strikes = holds || again ? undefined : strike(state, subject, current.now);
    const { at, source, port } = moment();
    if (!service && isPlain(strikes)) emit({ event: 'decoy.hit', at, source, port, strikes });
    else {
      const rest = again ? {} : said(strikes);
      if (service) emit({ event: 'decoy.hit', at, source, port, reason: 'service', ...rest });
      else emit({ event: 'decoy.hit', at, source, port, ...rest });
    }
    if (strikes !== undefined) banIfDue(state, subject, strikes, current.now, emit);
    return 'decoy';
  }

  function scan(reason: ScanReason, onDecoy: boolean, emit: Emit): Outcome {
    if (onDecoy) endAttempts(state, subject);
    const strikes = strikeUnlessHolder();
    const { at, source, port } = moment();
    if (isPlain(strikes)) emit({ event: 'scan.detected', at, source, port, reason, strikes });
    else emit({ event: 'scan.detected', at, source, port, reason, ...said(strikes) });
    if (strikes !== undefined) banIfDue(state, subject, strikes, current.now, emit);
    return reason === 'rate' ? 'rate' : 'scan';
  }

  function strikeUnlessHolder(): number | undefined {
    return state.grants.heldBy(subject).length > 0 ? undefined : strike(state, subject, current.now);
  }

  /** An offence in a flood: no more is to be said of it than its number, and nothing is built for that. */
  function isPlain(strikes: number | undefined): strikes is number {
    return strikes !== undefined && strikes < state.settings.bans.strikes;
  }

  function said(strikes: number | undefined): { strikes?: number; exempt?: ExemptReason } {
    return strikes === undefined ? { exempt: 'holds a grant' } : counted(state, subject, strikes);
  }

  function moment(): { at: Milliseconds; source: Address; port: { protocol: 'tcp' | 'udp'; port: Port } } {
    return { at: milliseconds(current.now), source: hostOf(subject), port: specOf(current.key) };
  }

  function expire(now: Milliseconds, emit: Emit): void {
    for (;;) {
      const grantAt = state.grants.deadline();
      const banAt = state.bans.deadline();
      if (Math.min(grantAt, banAt) > now) return;
      if (grantAt <= banAt) {
        const grant = state.grants.first();
        if (grant !== undefined) end(state, grant, grantAt, 'expired', emit);
      } else {
        const slot = state.bans.first();
        const { target } = state.bans.at(slot);
        state.bans.remove(slot);
        emit({ event: 'ban.expired', at: milliseconds(banAt), target });
      }
    }
  }

  return {
    judge,
    malformed(reason, now, emit) {
      emit({ event: 'packet.malformed', at: now, reason });
      return 'malformed';
    },
    execute(command, now, emit) {
      expire(now, emit);
      state.turn += 1;
      return execute(state, command, now, emit);
    },
    expire,
    deadline: () => Math.min(state.grants.deadline(), state.bans.deadline()),
    ...viewsOf(state),
  };
}
