import type { MalformedReason } from '../packet/decode.ts';
import type { Packet } from '../packet/packet.ts';
import { PROTOCOL_NUMBER } from '../packet/port.ts';
import { portKey } from '../packet/port-key.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { ROLE } from '../policy/port-roles.ts';
import { isSeenAgain, lookUp } from './already-seen.ts';
import type { Command, CommandAnswer } from './command.ts';
import { execute } from './commands.ts';
import { end } from './door.ts';
import { createShared, type Shared } from './elsewhere.ts';
import type { Emit } from './event.ts';
import type { HashKey } from './hash.ts';
import { HOW } from './in-time.ts';
import { judgeKnock } from './knock.ts';
import { countKnocks, countTouches } from './offender-scope.ts';
import type { Outcome } from './outcome.ts';
import type { EngineSettings, Sharing } from './settings.ts';
import { collectAttempts, createState } from './state.ts';
import { NONE } from './table.ts';
import { createTouches, type Touch } from './touch.ts';
import { type Views, viewsOf } from './views.ts';

/*
 * Theory of operation. The engine is a state machine: packets, commands and time go in, events come out. It reads
 * no clock, does no I/O, never throws on any input, and its memory is bounded by its settings. `judge` reads as
 * the rules do, one step a rule, in their order; docs/decisions/judgement.md settles their corners. What a packet
 * does to the sequences is in knock.ts, what no knock is in touch.ts, what opens and closes in door.ts, strikes and
 * bans in offence.ts.
 */
export interface Engine extends Views, Shared {
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

export function createEngine(settings: EngineSettings, key: HashKey, sharing?: Sharing): Engine {
  const state = createState(settings, key, sharing);
  const { subject } = state.subjects;
  const current: Touch = {
    key: 0,
    port: 0,
    flags: 0,
    now: 0,
    came: 0,
    how: HOW.judged,
    told: false,
    slack: 0,
    quiet: false,
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
  const touches = createTouches(state, current);
  const { gateIsOpen, judgeFlags, judgeDecoy, scan } = touches;

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
    current.port = portKey(packet.protocol, packet.port);
    current.key = state.ports.codes?.first[current.port] ?? current.port;
    current.tcp = packet.protocol === PROTOCOL_NUMBER.tcp;
    current.flags = packet.flags;
    current.stamped = packet.stamped;
    current.now = now;
    current.came = now;
    current.how = HOW.judged;
    current.told = false;
    current.quiet = false;
    state.leaves = false;
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

  /** Rule 5. Who holds a grant is not counted: such packets can be forged in its name. */
  function exceedsRate(): boolean {
    const exceeds = state.offenders.exceeds(state.offenders.put(subject), current.now);
    return exceeds && state.grants.heldBy(subject).length === 0;
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
    ...createShared({ state, current, touches, load, isBanned, expire }),
    ...viewsOf(state),
  };
}
