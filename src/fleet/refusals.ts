import type { Bus, Done } from './bus.ts';

/** What the engine refuses though it answers: rights that were not loaded, a disk that is full. */
export interface Refusals {
  /** The same bus, watched. */
  readonly bus: Bus;
  /** What it said at the last try; null: it refuses nothing. */
  last(): string | null;
}

export function createRefusals(bus: Bus): Refusals {
  const reasons = new Map<string, string>();

  function watched<T>(what: string, done: Done<T>): Done<T> {
    return (answer) => {
      if (answer.ok) reasons.delete(what);
      // Where nobody answers, that is what is said.
      else if (!answer.unsure) reasons.set(what, answer.reason);
      done(answer);
    };
  }

  return {
    bus: {
      ...bus,
      tell: (telling, done) => bus.tell(telling, watched('tell', done)),
      claim: (request, done) => bus.claim(request, watched('claim', done)),
      present: (text, done) => bus.present(text, watched('present', done)),
      time: (done) => bus.time(watched('time', done)),
    },
    last: () => [...reasons.values()][0] ?? null,
  };
}
