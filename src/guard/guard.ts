/*
 * Whose exception it is. What runs by itself (a timer, a listener, a promise that nobody waits for) has no caller that
 * could catch: an exception there would end the process. Each such piece of work is wrapped here, under the name of
 * the part that it belongs to; what it throws is told to anyone who has asked for it, and only this one run of it is lost.
 */

/** Must not throw. */
export type FaultReport = (part: string, error: unknown) => void;

let report: FaultReport | undefined;

/** From now on faults are told so. Undefined: nobody asks, and a fault becomes the process's uncaught exception. */
export function tellFaults(to: FaultReport | undefined): void {
  report = to;
}

/** What was caught elsewhere. */
export function fault(part: string, error: unknown): void {
  if (report !== undefined) {
    report(part, error);
    return;
  }
  queueMicrotask(() => {
    throw error;
  });
}

/** Work that never throws; where it returns a promise, its rejection is a fault too. */
export function guarded<Arguments extends readonly unknown[]>(
  part: string,
  work: (...given: Arguments) => unknown,
): (...given: Arguments) => void {
  return (...given) => {
    try {
      const result = work(...given);
      if (result instanceof Promise) owned(part, result);
    } catch (error) {
      fault(part, error);
    }
  };
}

/** A promise that nobody waits for. */
export function owned(part: string, promise: Promise<unknown>): void {
  promise.catch((error: unknown) => fault(part, error));
}
