import type { Address } from '../packet/address.ts';
import { collectAttempts, type State } from './state.ts';
import { countByHost, countByNetwork, type Subject } from './subject.ts';
import { NONE } from './table.ts';

/** How one source stands, for people. Moments are on the engine's clock. */
export interface SourceState {
  readonly source: Address;
  readonly strikes: number;
  readonly attempts: readonly { readonly door: string; readonly step: number; readonly of: number }[];
  readonly bannedUntil: number | null;
  readonly grants: readonly string[];
}

export function describe(state: State, address: Address, now: number): SourceState {
  state.subjects.ofAddress(address);
  const { subject } = state.subjects;
  const ban = state.bans.covering(subject);
  collectAttempts(state, subject);
  const attempts = Array.from(state.slots.subarray(0, state.held)).flatMap((slot) => {
    const sequence = state.ports.sequences[state.attempts.table.extra(slot)];
    const step = state.attempts.step(slot);
    if (sequence === undefined || step === 0) return [];
    return [{ door: sequence.settings.name, step, of: sequence.steps.length }];
  });
  return {
    source: address,
    strikes: Math.max(
      strikesOf(state, subject, countByHost, now),
      strikesOf(state, subject, countByNetwork, now),
    ),
    attempts,
    bannedUntil: ban === NONE ? null : state.bans.at(ban).until,
    grants: state.grants.heldBy(subject).map((grant) => state.settings.doors[grant.door]?.name ?? ''),
  };
}

/** The strikes that count against the host alone, or against its network. */
function strikesOf(state: State, subject: Subject, count: typeof countByHost, now: number): number {
  count(subject);
  const offender = state.offenders.find(subject);
  return offender === NONE ? 0 : state.offenders.strikes(offender, now);
}

/** Who is part-way through a sequence, then who has strikes; the most dangerous last, at most `limit`. */
export function listSources(state: State, now: number, limit: number): readonly SourceState[] {
  const found = new Map<string, Address>();
  for (const table of [state.attempts.table, state.offenders.table]) {
    table.each((slot) => {
      const [a, b, c, d] = [
        table.word(slot, 0),
        table.word(slot, 1),
        table.word(slot, 2),
        table.word(slot, 3),
      ];
      const address = { family: table.family(slot), a, b, c, d };
      found.set(`${address.family} ${a} ${b} ${c} ${d}`, address);
    });
  }
  const states = [...found.values()].slice(-limit * 4).map((address) => describe(state, address, now));
  return states.filter((each) => each.strikes > 0 || each.attempts.length > 0).slice(-limit);
}
