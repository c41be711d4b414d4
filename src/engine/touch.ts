import type { Address } from '../packet/address.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import type { PortSpec } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import { ROLE } from '../policy/port-roles.ts';
import { isTouchedAgain, type Sight } from './already-seen.ts';
import { saidOf } from './code-ports.ts';
import type { Emit, ScanReason } from './event.ts';
import type { ExemptReason } from './exempt.ts';
import { shapeOf } from './flag-match.ts';
import { banIfDue, counted, strike } from './offence.ts';
import type { Outcome } from './outcome.ts';
import { endAttempts, type State } from './state.ts';
import { hostOf } from './subject.ts';

/** What the rules share about the packet in hand. */
export interface Touch extends Sight {
  /** Its port; the first of the range where the port is digits of a code. */
  key: number;
  port: number;
  flags: number;
  tcp: boolean;
  stamped: boolean;
  came: number;
  how: number;
  told: boolean;
  slack: number;
  quiet: boolean;
  /** A knock port with a live service behind it. */
  observed: boolean;
  knock: boolean;
}

/** Rules 4 and 8: packets that are no knock. */
export interface Touches {
  readonly gateIsOpen: () => boolean;
  readonly judgeFlags: (emit: Emit) => Outcome | undefined;
  readonly judgeDecoy: (emit: Emit) => Outcome;
  readonly scan: (reason: ScanReason, onDecoy: boolean, emit: Emit) => Outcome;
}

export function createTouches(state: State, current: Touch): Touches {
  const { subject } = state.subjects;

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

  function moment(): { at: Milliseconds; source: Address; port: PortSpec } {
    return {
      at: milliseconds(current.now),
      source: hostOf(subject),
      port: saidOf(state.ports.codes, current.key),
    };
  }

  return { gateIsOpen, judgeFlags, judgeDecoy, scan };
}
