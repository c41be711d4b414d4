import type { RefusedReason } from '../policy/fleet.ts';
import { isMemberName } from '../policy/fleet.ts';
import { emptyOutcome, type Outcome } from './belief.ts';
import type { Budget } from './budget.ts';
import type { RegisterRow } from './bus.ts';
import { Unreadable } from './bytes.ts';
import { HEARD_MAX, type Host } from './host.ts';
import type { Knocks } from './knocks.ts';
import { decode, type Message, recordsSaid } from './message.ts';
import type { BusClock } from './offset.ts';
import type { Reader } from './reader.ts';
import type { Register } from './register.ts';
import { createRereading } from './rereading.ts';
import { registerOf } from './row.ts';
import type { Traffic } from './traffic.ts';
import type { View } from './view.ts';

const SECOND = 1_000;

/** What was refused is said once a second for each member and reason. */
type Refusals = Map<string, { readonly member: string; readonly reason: RefusedReason; count: number }>;

/** Takes in what others said, by the doorbell or read from the bus, and has it carried out. */
export interface Hearing {
  heard(member: string, bytes: Uint8Array): void;
  readMessage(member: string, bytes: Uint8Array): void;
  readRows(member: string, rows: readonly RegisterRow[], how: 'read' | 'again'): void;
  /** Says what was refused since, and reads again what was so for a reason that is over by now. */
  beat(): void;
  /** How much was refused since the start, and why. */
  refusals(): ReadonlyMap<RefusedReason, number>;
  /** Has what came of it carried out. */
  carryOut(origin: string, outcome: Outcome, said?: number): void;
  /** `times`: each of these. */
  refuse(member: string, reasons: readonly RefusedReason[], times?: number): void;
}

interface HearingParts {
  readonly name: string;
  readonly view: View;
  readonly clock: BusClock;
  readonly budget: Budget;
  readonly host: Host;
  readonly traffic: Traffic;
  readonly reader: () => Reader;
  readonly knocks: () => Pick<Knocks, 'heard'>;
  now(): number;
  /** Reads which lines of a one-time door were used. */
  readMarks(door: string): void;
  /** To be told under this member's own name. */
  tell(registers: readonly Register[]): void;
}

export function createHearing(parts: HearingParts): Hearing {
  const { name, view, clock, budget, host, traffic, reader, now, tell, knocks, readMarks } = parts;
  const refusals: Refusals = new Map();
  const refused = new Map<RefusedReason, number>();
  const rereading = createRereading(clock, (member) => reader().reread(member));
  const marksAgain = createRereading(clock, (door) => {
    readMarks(door);
    return true;
  });

  function refuse(member: string, reasons: readonly RefusedReason[], times = 1): void {
    for (const reason of reasons) {
      const key = `${member} ${reason}`;
      const there = refusals.get(key) ?? { member, reason, count: 0 };
      there.count += times;
      refused.set(reason, (refused.get(reason) ?? 0) + times);
      refusals.set(key, there);
    }
  }

  function beat(): void {
    for (const each of refusals.values()) host.report({ news: 'refused', ...each });
    refusals.clear();
    for (const member of budget.roomy()) rereading.wants(member, clock.now());
    rereading.beat();
    marksAgain.beat();
  }

  /** A message of a channel or stream is its member's: the engine lets nobody else write there. */
  function heard(member: string, bytes: Uint8Array): void {
    if (member === name) return;
    if (!isMemberName(member)) {
      refuse(member.slice(0, 24), ['origin']);
      return;
    }
    // Of what is kept the rest is read at this member's own pace: a number is missing then.
    if (!budget.bytes(member, bytes.length, now())) {
      refuse(member, ['limit'], recordsSaid(bytes));
      return;
    }
    const message = decode(bytes);
    if (message instanceof Unreadable) {
      refuse(member, [message.reason]);
      return;
    }
    if (message.number > 0) reader().heard(member, message.number);
    take(member, message, 'live');
  }

  function readMessage(member: string, bytes: Uint8Array): void {
    const message = decode(bytes);
    if (message instanceof Unreadable) refuse(member, [message.reason]);
    else take(member, message, 'read');
  }

  function take(member: string, message: Message, how: 'live' | 'read'): void {
    traffic.count('in', message.kind);
    switch (message.kind) {
      case 'ban':
      case 'grant':
      case 'amnesty': {
        const outcome = emptyOutcome();
        for (const register of message.records) view.hear(member, register, how, outcome);
        carryOut(member, outcome, how === 'live' ? message.time : undefined);
        return;
      }
      case 'used':
        for (const { door, digest } of message.records) hearUsed(member, door, digest);
        return;
      default:
        if (how === 'live') knocks().heard(member, message);
    }
  }

  /** Whoever holds the next line is wrong where nobody heard that this one was used: what is over is read again. */
  function hearUsed(member: string, door: string, digest: string): void {
    if (budget.used(member, now())) {
      host.used(door, digest, member);
      return;
    }
    refuse(member, ['limit']);
    if (host.oneTimeDoors().includes(door)) marksAgain.wants(door, clock.now() + SECOND);
  }

  function readRows(member: string, rows: readonly RegisterRow[], how: 'read' | 'again'): void {
    const outcome = emptyOutcome();
    for (const row of rows) {
      const register = registerOf(row);
      if (register instanceof Unreadable) outcome.refused.push(register.reason);
      else view.hear(member, register, how, outcome);
    }
    carryOut(member, outcome);
  }

  function carryOut(origin: string, outcome: Outcome, said?: number): void {
    refuse(origin, outcome.refused);
    for (const { register, reason } of outcome.doubted) host.refused(origin, register, reason);
    if (origin !== name && outcome.believable < Number.POSITIVE_INFINITY)
      rereading.wants(origin, outcome.believable);
    if (outcome.repairs.length > 0) {
      host.keep(outcome.repairs);
      tell(outcome.repairs);
    }
    const { lifts, grants, bans } = view.settle(outcome);
    const none = { origin, lifts: [], grants: [], bans: [], ...(said === undefined ? {} : { said }) };
    for (const piece of piecesOf(lifts)) host.apply({ ...none, lifts: piece });
    for (const piece of piecesOf(grants)) host.apply({ ...none, grants: piece });
    for (const piece of piecesOf(bans)) host.apply({ ...none, bans: piece });
  }

  return {
    ...{ heard, readMessage, readRows, beat, carryOut, refuse },
    refusals: () => refused,
  };
}

function piecesOf<T>(all: readonly T[]): readonly (readonly T[])[] {
  const pieces: (readonly T[])[] = [];
  for (let at = 0; at < all.length; at += HEARD_MAX) pieces.push(all.slice(at, at + HEARD_MAX));
  return pieces;
}
