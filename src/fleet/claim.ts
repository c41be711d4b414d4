import { createHmac } from 'node:crypto';
import type { Bus, ClaimRequest, MarkPlace } from './bus.ts';
import type { Surroundings } from './host.ts';
import type { BusClock } from './offset.ts';

/** How long whoever knocked waits at most: then the door stays shut, and the line is burnt. */
export const CLAIM_DEADLINE = 1_000;
/** After the engine was started anew or replaced nothing is claimed for so long: members tell it the marks that it may have forgotten. */
export const SETTLING = 3_000;
/** After so long it is asked once more. */
const RETRY = 100;
/** Marks that are told again at once. */
const REASSERTED_AT_ONCE = 32;
/** Burnt marks that wait for the bus. */
const BURNT_MAX = 4_096;
/** Marks of packets and codes that this member has met: an engine that has forgotten them is told again. */
const MET_MAX = 4_096;

/** What is to be used once in the whole fleet. */
export interface Once {
  readonly mark: MarkPlace;
  readonly field: Uint8Array;
  readonly copies: number;
  /** Whether this machine keeps it beyond its own life, and tells it again from there. */
  readonly isKept: boolean;
  /** Who is about to be let in, as it is told to others. */
  readonly source: string;
}

export type OnceAnswer =
  | { readonly outcome: 'won' }
  /** `by`: the member where it was used, by whom, and when on the bus's clock. */
  | { readonly outcome: 'used'; readonly by: string; readonly source: string; readonly at: number }
  /** Nobody can say; it opens nothing, and is claimed as burnt when the bus is there again. */
  | { readonly outcome: 'shut'; readonly reason: string };

/** Marks that are set once and for all. */
export interface Claims {
  claim(once: Once, done: (answer: OnceAnswer) => void): void;
  /** `settles`: the engine may have forgotten marks. */
  connected(settles: 'settles' | 'goes on', marks: Iterable<ClaimRequest>): void;
  disconnected(): void;
}

interface Waiting {
  readonly retry: () => void;
}

interface ClaimParts {
  readonly member: string;
  readonly bus: Bus;
  readonly clock: BusClock;
  readonly surroundings: Surroundings;
}

/** What knows a one-time line again, and gives nothing away of it to who does not know the group's secret. */
export function lineDigest(secret: Uint8Array, door: string, line: string): Uint8Array {
  return createHmac('sha256', secret).update(`${door} ${line}`).digest().subarray(0, 16);
}

export function createClaims({ member, bus, clock, surroundings }: ClaimParts): Claims {
  let isConnected = false;
  let settled = Number.POSITIVE_INFINITY;
  /** Failed once, and to be asked again when the bus is back. */
  const waiting = new Set<Waiting>();
  let burnt: ClaimRequest[] = [];
  /** Marks that stand, whoever set them, and until when; the oldest first. */
  let met: { readonly request: ClaimRequest; readonly until: number }[] = [];

  function meet(request: ClaimRequest, value: string): void {
    const { mark } = request;
    const lasts = 'seconds' in mark ? mark.seconds * 1_000 : Number.POSITIVE_INFINITY;
    met.push({ request: { ...request, value, copies: null }, until: surroundings.now() + lasts });
    if (met.length >= 2 * MET_MAX) met = met.slice(-MET_MAX);
  }

  function* standing(): Iterable<ClaimRequest> {
    for (const { request, until } of met.slice(-MET_MAX)) if (until > surroundings.now()) yield request;
  }

  function newValue(source: string): string {
    const nonce = Math.floor(surroundings.random() * 2 ** 48).toString(16);
    return `${member} ${nonce} ${source} ${Math.floor(clock.now())}`;
  }

  function burn(request: ClaimRequest): void {
    burnt.push(request);
    if (burnt.length > BURNT_MAX) burnt.shift();
    if (isConnected) tellBurnt();
  }

  function tellBurnt(): void {
    const all = burnt;
    burnt = [];
    reassert(all, (request) => {
      if (burnt.length < BURNT_MAX) burnt.push(request);
    });
  }

  /** Some at a time: whoever answers brings the next. */
  function reassert(requests: Iterable<ClaimRequest>, failed: (request: ClaimRequest) => void): void {
    const rest = requests[Symbol.iterator]();
    const next = (): void => {
      const { value, done } = rest.next();
      if (done === true) return;
      bus.claim(value, (answer) => {
        if (!answer.ok) failed(value);
        next();
      });
    };
    for (let begun = 0; begun < REASSERTED_AT_ONCE; begun += 1) next();
  }

  function claim(once: Once, done: (answer: OnceAnswer) => void): void {
    const { mark, field, copies, isKept, source } = once;
    const request: ClaimRequest = { mark, field, copies, value: newValue(source) };
    if (!isConnected || surroundings.now() < settled) {
      shut(
        isConnected ? 'the engine was just started, and may have forgotten marks' : 'the bus does not answer',
      );
      return;
    }
    let asked = 0;
    let over = false;
    const entry: Waiting = { retry };
    const callOff = surroundings.after(CLAIM_DEADLINE, () =>
      end(() => shut('the bus did not answer in time')),
    );
    ask();

    function end(how: () => void): void {
      if (over) return;
      over = true;
      callOff();
      waiting.delete(entry);
      how();
    }
    function shut(reason: string): void {
      if (!isKept) meet(request, request.value);
      burn(request);
      done({ outcome: 'shut', reason });
    }
    function retry(): void {
      if (over) return;
      if (!isConnected) waiting.add(entry);
      else if (surroundings.now() >= settled) ask();
    }
    function ask(): void {
      waiting.delete(entry);
      asked += 1;
      bus.claim(request, (answer) => {
        if (over) return;
        if (answer.ok && !isKept) meet(request, answer.value.value);
        if (answer.ok && answer.value.value !== request.value) {
          end(() => done(usedBy(answer.value.value)));
        } else if (answer.ok && answer.value.durable) {
          end(() => done({ outcome: 'won' }));
        } else if (asked > 1) {
          end(() => shut(answer.ok ? 'the mark is not on the disk, or on too few replicas' : answer.reason));
        } else {
          // In a moment: whoever closed the connection is often back at once.
          surroundings.after(RETRY, retry);
        }
      });
    }
  }

  return {
    claim,
    connected(settles, marks) {
      isConnected = true;
      if (settles === 'settles') {
        settled = surroundings.now() + SETTLING;
        // What waits for an answer of the engine that was is shut by its deadline.
        waiting.clear();
        reassert(standing(), burn);
        reassert(marks, burn);
      } else {
        for (const { retry } of [...waiting]) retry();
      }
      tellBurnt();
    },
    disconnected() {
      isConnected = false;
    },
  };
}

/** `member nonce source ms`, as another wrote it. */
function usedBy(value: string): OnceAnswer {
  const [by = '', , source = '', at = ''] = value.split(' ');
  return { outcome: 'used', by, source, at: Number(at) };
}
