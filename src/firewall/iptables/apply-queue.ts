import { owned } from '../../guard/guard.ts';
import type { Change } from '../firewall.ts';

/** Carries changes out in their order; those that come while a flush is in progress go together in the next. */
export interface ApplyQueue {
  /** `after`: as with a firewall's. */
  apply(changes: readonly Change[], after?: Promise<void>): Promise<void>;
  /** Runs alone, in its turn. */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves once nothing waits any more. */
  idle(): Promise<void>;
}

interface Call {
  readonly changes: readonly Change[];
  readonly after: Promise<void> | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export type Carry = (changes: readonly Change[], after: Promise<void> | undefined) => Promise<void>;

export function applyQueue(carry: Carry): ApplyQueue {
  let last: Promise<unknown> = Promise.resolve();
  /** Calls that will go in the flush that is already queued; undefined once it began, or something came after. */
  let gathering: Call[] | undefined;

  const chain = <T>(task: () => Promise<T>): Promise<T> => {
    const mine = last.then(task);
    last = mine.catch(() => {});
    return mine;
  };
  const flush = async (calls: readonly Call[]): Promise<void> => {
    try {
      await carry(
        calls.flatMap((call) => call.changes),
        allOf(calls.flatMap(({ after }) => after ?? [])),
      );
      for (const call of calls) call.resolve();
    } catch (error) {
      if (calls.length === 1) calls[0]?.reject(error);
      else for (const call of calls) await flush([call]);
    }
  };

  return {
    apply(changes, after) {
      return new Promise((resolve, reject) => {
        const call: Call = { changes, after, resolve, reject };
        if (gathering !== undefined) {
          gathering.push(call);
          return;
        }
        const calls = [call];
        gathering = calls;
        owned(
          'firewall',
          chain(() => {
            if (gathering === calls) gathering = undefined;
            return flush(calls);
          }),
        );
      });
    },
    exclusive(task) {
      gathering = undefined;
      return chain(task);
    },
    async idle() {
      await last;
    },
  };
}

/** Undefined: there is nothing to wait for. */
function allOf(some: readonly Promise<void>[]): Promise<void> | undefined {
  return some.length < 2 ? some[0] : Promise.all(some).then(() => undefined);
}
