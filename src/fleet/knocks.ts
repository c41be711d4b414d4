import type { Outcome } from '../engine/outcome.ts';
import type { Address } from '../packet/address.ts';
import { type Packet, sourceOf } from '../packet/packet.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { createKnockHearing } from './knock-hearing.ts';
import type { KnockParts } from './knock-host.ts';
import { createKnockTelling } from './knock-telling.ts';
import type { Message } from './message.ts';
import { type Parked, sourceKey } from './parking.ts';
import { copyOf } from './told-packet.ts';
import { createWaiting } from './waiting.ts';

/*
 * Knocks of one client that come to several members. Every packet to a port that is a later step is told. What nothing
 * explains where it came is parked there, and where it was heard: whoever has the attempt places it, and says so; nobody
 * did in `wait`: it is judged as if its member were alone. First knocks stay where they came, so a flood of them never
 * reaches the bus. What no budget is left for, or comes while the bus is away, is excused a few times: neither strike nor
 * progress. What that means for an attempt, and how the order goes on counting, is src/engine/elsewhere.ts.
 */
export interface Knocks {
  /** This machine has judged a packet, which came at this moment; answers what has become of it. */
  judged(packet: Packet, outcome: Outcome, at: Milliseconds): Outcome;
  /** Tells what has been gathered since the last time. */
  flush(): void;
  /** What another member says of knocks. */
  heard(member: string, message: Message): void;
  /** Whether others are there, or would be if the bus were. */
  isShared(): boolean;
  /** Whether they are heard now. */
  hears(): boolean;
  /** Packets of this source that nobody has had a use for yet. */
  standing(source: Address): number;
  /** Packets that wait. */
  parked(): number;
  stop(): void;
}

/** By what each of another's words is counted. */
const ACCOUNT: { readonly [Kind in Message['kind']]?: 'knock' | 'offence' | 'answer' | 'first' } = {
  knock: 'knock',
  decoy: 'offence',
  struck: 'offence',
  placed: 'answer',
  known: 'answer',
  first: 'first',
};

export function createKnocks(parts: KnockParts): Knocks {
  const { host, budget, surroundings, words, company, refuse } = parts;
  const { engine } = host;
  const telling = createKnockTelling(parts);
  const waiting = createWaiting(parts, telling);
  const { parking, park, retry } = waiting;
  const hearing = createKnockHearing(parts, telling, waiting);

  const now = (): Milliseconds => milliseconds(surroundings.now());

  /** A packet that nothing here explains. */
  function standAside(packet: Packet, at: Milliseconds): Outcome {
    const source = sourceKey(sourceOf(packet));
    if (parking.of(source).some((parked) => parked.isLast && isSamePort(parked.packet, packet)))
      return 'repeat';
    noneIsLast(source);
    const id = telling.nextId();
    const isTold = telling.tellWrong(packet, at, id);
    if (!isTold && !waiting.excuse(packet, source)) return judgeAlone(packet, at);
    // For want of room it is excused too: a flood of others' packets must not make it a strike.
    const kind = isTold ? 'wrong' : 'excused';
    const parked = {
      id,
      packet: copyOf(packet),
      source,
      came: at,
      origin: null,
      kind,
      isLast: true,
    } as const;
    return park(parked) || !isTold || waiting.excuse(packet, source) ? 'elsewhere' : judgeAlone(packet, at);
  }

  function noneIsLast(source: string): void {
    for (const parked of parking.of(source)) parked.isLast = false;
  }

  function judgeAlone(packet: Packet, at: Milliseconds): Outcome {
    return waiting.judgeAlone({ packet, came: at }, at, telling.nextId);
  }

  function goneOn(packet: Packet, at: Milliseconds): void {
    const source = sourceKey(sourceOf(packet));
    if (engine.leavesSome()) {
      const parked: Omit<Parked, 'since' | 'until'> = {
        ...{ id: telling.nextId(), packet: copyOf(packet), source, came: at, origin: null },
        ...{ kind: 'rest', isLast: false },
      };
      park(parked);
    }
    retry(source);
  }

  return {
    judged(packet, outcome, at) {
      switch (outcome) {
        case 'elsewhere':
          return standAside(packet, at);
        case 'accepted':
        case 'opened':
        case 'closed':
          noneIsLast(sourceKey(sourceOf(packet)));
          telling.tellExplained(packet, at);
          goneOn(packet, at);
          return outcome;
        case 'repeat':
        case 'expired':
          noneIsLast(sourceKey(sourceOf(packet)));
          telling.tellExplained(packet, at);
          return outcome;
        case 'too_fast':
          telling.tellOffence('struck', packet, at, telling.nextId());
          return outcome;
        case 'decoy':
        case 'scan':
          telling.tellOffence('decoy', packet, at, telling.nextId());
          return outcome;
        default:
          return outcome;
      }
    },
    flush: words.flush,
    heard(member, message) {
      const account = ACCOUNT[message.kind];
      if (!host.isOn() || account === undefined) return;
      if (!host.accepts(member, account === 'offence' ? 'offences' : 'knocks')) return;
      for (const record of message.records) {
        if (budget[account](member, now())) hearing(member, message.kind, record);
        else refuse(member, 'limit');
      }
      host.carryOut();
      words.flush();
    },
    isShared: () => host.isOn() && company() !== 'alone',
    hears: () => company() === 'up',
    standing: waiting.standing,
    parked: parking.size,
    stop: waiting.stop,
  };
}

function isSamePort(one: Packet, other: Packet): boolean {
  return one.protocol === other.protocol && one.port === other.port;
}
