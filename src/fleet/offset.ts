import type { Bus } from './bus.ts';
import type { Surroundings } from './host.ts';

/** Samples that are kept: the bus is asked once a second. */
const SAMPLES = 16;
/** An answer in so many milliseconds is quick enough; otherwise it is asked so often in a row. */
const QUICK = 1;
const ASKED_MAX = 6;
/** Ticks of the hybrid clock in a millisecond: lifts of one millisecond are told apart, and ticks fit a double exactly. */
export const TICKS = 64;
/** So far the bus's clock may be from what it was taken for before it was asked: nobody minds. In milliseconds. */
export const GUESS_TOLERANCE = 100;
/** How far ahead of the bus's clock another's stamps and moments may be, in milliseconds. */
export const AHEAD_MAX = 5_000;

/** What clocks drift apart while samples are kept, and what a timer is off, in milliseconds. */
const DRIFT = 10;

interface Sample {
  readonly offset: number;
  readonly roundTrip: number;
}

/**
 * The bus's clock as seen from here, and the hybrid clock whose stamps order lifts: never behind what was seen, so that
 * a lift which knew of another is newer than it, whatever the clocks say.
 */
export interface BusClock {
  now(): number;
  /** From a moment of the daemon's clock to one of the bus's, and back. */
  toBus(at: number): number;
  toLocal(at: number): number;
  /** The bus was asked at `sent` for its time, and its answer came at `received`; `again`: since the last was slow. */
  sample(sent: number, received: number, time: number, how?: 'once' | 'again'): void;
  /** Whether the bus has ever been asked. */
  isKnown(): boolean;
  offset(): number;
  /** How far the offset may be off: half the round trip of the best sample, in milliseconds. */
  uncertainty(): number;
  /** A stamp for a lift, newer than any seen; until the bus has been asked for its time, a provisional one. */
  stamp(): number;
  /** Whether this member stamped it before it knew the time. */
  isProvisional(gen: number): boolean;
  /** Takes note of another's stamp; false where it is from too far ahead to be believed. */
  see(gen: number): boolean;
  /** What this member itself had stamped or seen before a restart is believed as it is. */
  resume(gen: number, how?: 'stamped' | 'provisional'): void;
}

export function createBusClock(surroundings: Surroundings): BusClock {
  const samples: Sample[] = [];
  const provisional = new Set<number>();
  let last = 0;

  /** Asked for each register that is read. */
  let best: Sample | undefined;

  function quickest(): Sample | undefined {
    let found = samples[0];
    for (const sample of samples) if (sample.roundTrip <= (found?.roundTrip ?? 0)) found = sample;
    return found;
  }

  function offset(): number {
    return best?.offset ?? surroundings.wallOffset();
  }

  const now = (): number => surroundings.now() + offset();
  return {
    now,
    toBus: (at) => at + offset(),
    toLocal: (at) => at - offset(),
    sample(sent, received, time, how = 'once') {
      const made = { offset: time - (sent + received) / 2, roundTrip: received - sent };
      // Both can't be of one clock: it was set, or another engine answers.
      if (best !== undefined && Math.abs(made.offset - best.offset) > apart(made, best)) samples.length = 0;
      else if (how === 'again') {
        if (made.roundTrip >= (samples.at(-1)?.roundTrip ?? 0)) return;
        samples.pop();
      }
      samples.push(made);
      if (samples.length > SAMPLES) samples.shift();
      best = quickest();
    },
    isKnown: () => samples.length > 0,
    offset,
    uncertainty: () => (best?.roundTrip ?? 0) / 2,
    stamp() {
      if (samples.length === 0) {
        // By a wall clock that is decades ahead every later stamp would be too: nobody would believe one.
        last += 1;
        provisional.add(last);
        return last;
      }
      last = Math.max(Math.floor(now() * TICKS), last + 1);
      return last;
    },
    isProvisional: (gen) => provisional.has(gen),
    see(gen) {
      if (gen > (now() + AHEAD_MAX) * TICKS) return false;
      last = Math.max(last, gen);
      return true;
    },
    resume(gen, how) {
      last = Math.max(last, gen);
      if (how === 'provisional') provisional.add(gen);
    },
  };
}

/** How far two samples of one clock can be apart. */
function apart(one: Sample, other: Sample): number {
  return (one.roundTrip + other.roundTrip) / 2 + DRIFT;
}

/**
 * Asks the bus for its time; `known` once it has answered. Where it answers slowly it is asked some times more: how far a
 * clock may be off is half of the quickest answer, and who has to wait for a processor waits not each time.
 */
export function askTime(
  parts: { readonly bus: Bus; readonly clock: BusClock; readonly now: () => number },
  known: () => void,
): void {
  const { bus, clock, now } = parts;
  let asked = 0;
  const ask = (): void => {
    const sent = now();
    bus.time((answer) => {
      if (!answer.ok) return;
      const received = now();
      clock.sample(sent, received, answer.value, asked === 0 ? 'once' : 'again');
      asked += 1;
      if (asked === 1) known();
      if (received - sent > QUICK && asked < ASKED_MAX) ask();
    });
  };
  ask();
}
