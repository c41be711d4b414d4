import type { Late } from '../engine/elsewhere.ts';
import type { Outcome } from '../engine/outcome.ts';
import type { Address } from '../packet/address.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { KnockParts } from './knock-host.ts';
import type { KnockTelling } from './knock-telling.ts';
import { createLately } from './lately.ts';
import { createParking, type Parked, type Parking, sourceKey } from './parking.ts';

/** The clocks of two members are apart by what each may be off, and by what they drift between two looks. */
const DRIFT = 1;
const SLACK_MAX = 20;
/** What came to another member at the same time is known by then, in milliseconds. */
const QUIET = 10;
/** How long a member's word that it has concluded a knock may take. */
const GRACE = 50;
const ROUNDS_MAX = 32;

/** The packets that stand aside: tried again whenever something has changed, and concluded when their time is over. */
export interface Waiting {
  readonly parking: Parking;
  /** False where there is no room. */
  park(parked: Omit<Parked, 'since' | 'until'>): boolean;
  /** Something has changed for this source: what waits may be a next step now. */
  retry(source: string): void;
  late(came: number, origin: string | null): Late;
  /** Nobody has a use for a packet that came here: it is what it would have been alone, and the others hear of it. */
  judgeAlone(of: Pick<Parked, 'packet' | 'came'>, at: Milliseconds, id: () => number): Outcome;
  /** Whether the packet, which nobody could be asked about, is let be once more: not where it would break an attempt. */
  excuse(packet: Parked['packet'], source: string): boolean;
  standing(source: Address): number;
  stop(): void;
}

export function createWaiting(parts: KnockParts, telling: KnockTelling): Waiting {
  const { host, surroundings, words, company, apart } = parts;
  const { engine, emit } = host;
  const parking = createParking();
  const excuses = createLately(() => host.excused().within);
  /** Sources of what was parked since the last look. */
  let fresh = new Set<string>();
  let inHand: Parked | undefined;
  let [timer, looking]: ((() => void) | undefined)[] = [];

  const now = (): Milliseconds => milliseconds(surroundings.now());
  const late = (came: number, origin: string | null): Late => ({
    ...{ came: milliseconds(came), origin, quiet: false },
    slack: Math.min(SLACK_MAX, DRIFT + apart()),
  });

  function isExcusedOnceMore(source: string): boolean {
    return excuses.count(source, now()) <= host.excused().times;
  }

  function place(parked: Parked): ReturnType<typeof engine.place> {
    const { packet, came, origin, since } = parked;
    inHand = parked;
    const placed = engine.place(
      packet,
      { ...late(came, origin), quiet: now() - since >= QUIET },
      now(),
      emit,
    );
    inHand = undefined;
    return placed;
  }

  /** The earliest first, and again from there whenever one went on: what came later may be its next step. */
  function retry(source: string): void {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const waits = ({ kind }: Parked): boolean => kind !== 'excused' && kind !== 'known';
      if (!parking.of(source).filter(waits).some(goesOn)) return;
    }
  }

  function goesOn(parked: Parked): boolean {
    const placed = place(parked);
    // That it is a step made already says nothing of another attempt that it may break, or go on with.
    if (placed === 'none' || (placed !== 'advanced' && parked.kind !== 'wrong')) return false;
    if (placed === 'unsure' && !isExcusedOnceMore(parked.source)) return false;
    const isAsked = parked.origin !== null && parked.kind === 'wrong';
    if (placed === 'advanced') parking.remove(parked);
    else parked.kind = 'known';
    if (isAsked) words.put(placed === 'advanced' ? 'placed' : 'known', parked.id);
    return placed === 'advanced';
  }

  /** What was let pass once waits for what came to others at the same time. */
  function look(): void {
    looking = undefined;
    const sources = fresh;
    fresh = new Set();
    for (const source of sources) {
      retry(source);
      if (parking.of(source).some(({ since }) => now() - since < QUIET)) fresh.add(source);
    }
    if (fresh.size > 0) looking = surroundings.after(QUIET, look);
    done();
  }

  /** Whoever could not run for a while reads first what others have said meanwhile. */
  function tick(): void {
    timer = surroundings.after(1, concludeDue);
  }

  function concludeDue(): void {
    timer = undefined;
    for (let due = parking.takeDue(now()); due !== undefined; due = parking.takeDue(now())) {
      conclude(due);
      retry(due.source);
    }
    const left = parking.deadline() - now();
    if (left < Number.POSITIVE_INFINITY) timer = surroundings.after(Math.max(1, left), tick);
    done();
  }

  function done(): void {
    host.carryOut();
    words.flush();
  }

  /** Nobody had a use for it. What another member told of is that member's to conclude. */
  function conclude(parked: Parked): void {
    const { packet, source, came, origin, kind, id } = parked;
    if (kind === 'known') engine.concludeRest(packet, late(came, origin), now(), emit);
    if (origin !== null || kind === 'excused' || kind === 'known') return;
    const placed = place(parked);
    if (placed === 'advanced') return;
    if (kind === 'rest') engine.concludeRest(packet, late(came, null), now(), emit);
    else if (placed === 'none' && !(company() === 'down' && excuse(packet, source)))
      judgeAlone(parked, now(), () => id);
  }

  function judgeAlone(
    { packet, came }: Pick<Parked, 'packet' | 'came'>,
    at: Milliseconds,
    id: () => number,
  ): Outcome {
    const outcome = engine.conclude(packet, late(came, null), at, emit);
    // The rest of a mistake is no strike, but it breaks what it breaks.
    if (outcome === 'wrong' || outcome === 'tolerated') telling.tellOffence('struck', packet, came, id());
    return outcome;
  }

  function excuse(packet: Parked['packet'], source: string): boolean {
    return !engine.isUnderWay(packet) && isExcusedOnceMore(source);
  }

  return {
    parking,
    park(parked) {
      // What came elsewhere is concluded there, which is heard of before it is forgotten here.
      const wait = host.wait() + (parked.origin === null ? 0 : GRACE);
      const isIn = parking.add({ ...parked, since: now(), until: now() + wait });
      if (!isIn) return false;
      timer ??= surroundings.after(wait, tick);
      fresh.add(parked.source);
      looking ??= surroundings.after(QUIET, look);
      return true;
    },
    retry,
    late,
    judgeAlone,
    excuse,
    standing(source) {
      const key = sourceKey(source);
      const isOwn = inHand?.source === key && inHand.kind === 'wrong' && parking.byId(inHand.id) === inHand;
      return parking.useless(key) - Number(isOwn);
    },
    stop() {
      for (const callOff of [timer, looking]) callOff?.();
    },
  };
}
