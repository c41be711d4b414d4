import { type Packet, sourceOf } from '../packet/packet.ts';
import { atOnce, createBucket, KNOCKS_PER_SECOND, OFFENCES_PER_SECOND } from './budget.ts';
import type { KnockParts } from './knock-host.ts';
import { createLately } from './lately.ts';
import { sourceKey } from './parking.ts';
import { toldOf } from './told-packet.ts';

/** Later knocks that are told in a second: of sources of which nobody has said that it has a first knock, and of others. */
const TOLD_OTHERS = 200;
const TOLD_KNOWN = KNOCKS_PER_SECOND - TOLD_OTHERS;
const TOLD_FIRSTS = 200;
/** Of these at once: a flood has more than can be told, and what is told is heard by all. */
const TOLD_FIRSTS_AT_ONCE = 50;
/** Somebody has a first knock of this source: as long as a sequence takes. */
const FIRST_WITHIN = 60_000;

/** What is told of knocks and offences, and how much of it: what is over is left out, and makes nothing else late. */
export interface KnockTelling {
  nextId(): number;
  /** A packet that nothing here explains; false where no more are told. */
  tellWrong(packet: Packet, at: number, id: number): boolean;
  /** A packet that went on with an attempt here, or repeats what did. */
  tellExplained(packet: Packet, at: number): void;
  tellOffence(kind: 'decoy' | 'struck', packet: Packet, at: number, id: number): void;
  /** Somebody has a first knock of this source. */
  noteFirst(source: string): void;
}

export function createKnockTelling(parts: KnockParts): KnockTelling {
  const { host, clock, surroundings, words, company } = parts;
  const { now } = surroundings;
  const firsts = createLately(() => FIRST_WITHIN);
  const known = createBucket(TOLD_KNOWN, atOnce(TOLD_KNOWN));
  const others = createBucket(TOLD_OTHERS, atOnce(TOLD_OTHERS));
  const first = createBucket(TOLD_FIRSTS, TOLD_FIRSTS_AT_ONCE);
  const offences = createBucket(OFFENCES_PER_SECOND, atOnce(OFFENCES_PER_SECOND));
  let id = Math.floor(surroundings.random() * 2 ** 32);

  function nextId(): number {
    id = (id + 1) % 2 ** 32;
    return id;
  }

  function mayTell(packet: Packet): boolean {
    if (company() !== 'up') return false;
    return (firsts.has(sourceKey(sourceOf(packet)), now()) ? known : others).take(now());
  }

  function tellFirst(packet: Packet): void {
    const source = sourceKey(sourceOf(packet));
    if (company() !== 'up' || firsts.has(source, now()) || !first.take(now())) return;
    firsts.count(source, now());
    words.put('first', sourceOf(packet));
  }

  return {
    nextId,
    tellWrong(packet, at, of) {
      if (!mayTell(packet)) return false;
      words.put('knock', toldOf(packet, { id: of, explained: false, at: clock.toBus(at) }));
      return true;
    },
    tellExplained(packet, at) {
      if (!host.engine.isLater(packet.protocol, packet.port)) tellFirst(packet);
      else if (mayTell(packet))
        words.put('knock', toldOf(packet, { id: nextId(), explained: true, at: clock.toBus(at) }));
    },
    tellOffence(kind, packet, at, of) {
      if (company() === 'up' && offences.take(now()))
        words.put(kind, toldOf(packet, { id: of, explained: false, at: clock.toBus(at) }));
    },
    noteFirst: (source) => void firsts.count(source, now()),
  };
}
