import { atOnce, createBucket, TOLD_BANS_PER_SECOND } from './budget.ts';
import { RECORDS_MAX } from './message.ts';
import { isTomb, type Register, registerKey } from './register.ts';

/** Registers that wait to be told: as many as a member's own bans, since it holds the newest state of each only. */
export const OUTBOX_MAX = 65_536;

/** What is told in one message: registers of one kind. */
export interface Parcel {
  readonly registers: readonly Register[];
}

/**
 * What was said and not yet told. It is a copy of rows in the state file, which were written with the ban or the grant
 * itself: in memory alone it would be forgotten with the member. A register leaves it when the bus has answered, and it
 * has not changed since.
 */
export interface Outbox {
  /** Answers what had to go for it: the oldest automatic bans, which are worth least to others. */
  put(register: Register): readonly Register[];
  /** The next to be told, or undefined; one parcel at a time is on its way. */
  take(now: number): Parcel | undefined;
  /** The bus has it; answers those that have not changed since. Without this it is told again. */
  told(parcel: Parcel): readonly Register[];
  size(): number;
}

/** People's words, lifts and grants go first, then bans of who was banned before, then the others. */
const CLASSES = ['urgent', 'escalated', 'plain'] as const;
type Class = (typeof CLASSES)[number];

export function createOutbox(max: number = OUTBOX_MAX): Outbox {
  const waiting: Record<Class, Map<string, Register>> = {
    urgent: new Map(),
    escalated: new Map(),
    plain: new Map(),
  };
  const bucket = createBucket(TOLD_BANS_PER_SECOND, atOnce(TOLD_BANS_PER_SECOND));

  const size = (): number => CLASSES.reduce((sum, each) => sum + waiting[each].size, 0);

  function shed(): Register | undefined {
    for (const each of ['plain', 'escalated'] as const) {
      const first = waiting[each].entries().next();
      if (first.done === true) continue;
      const [key, register] = first.value;
      waiting[each].delete(key);
      return register;
    }
    return undefined;
  }

  return {
    put(register) {
      const key = registerKey(register);
      const own = classOf(register);
      for (const each of CLASSES) if (each !== own) waiting[each].delete(key);
      waiting[own].set(key, register);
      const gone: Register[] = [];
      while (size() > max) {
        const one = shed();
        if (one === undefined) break;
        gone.push(one);
      }
      return gone;
    },
    take(now) {
      const first = CLASSES.map((each) => waiting[each].values().next()).find((next) => next.done !== true);
      const kind = first?.value?.kind;
      if (kind === undefined) return undefined;
      const registers: Register[] = [];
      for (const each of CLASSES) {
        for (const register of waiting[each].values()) {
          if (registers.length >= RECORDS_MAX) break;
          if (register.kind !== kind) continue;
          if (each !== 'urgent' && !bucket.take(now)) break;
          registers.push(register);
        }
      }
      return registers.length === 0 ? undefined : { registers };
    },
    told({ registers }) {
      const gone = registers.filter(
        (register) => waiting[classOf(register)].get(registerKey(register)) === register,
      );
      for (const register of gone) waiting[classOf(register)].delete(registerKey(register));
      return gone;
    },
    size,
  };
}

function classOf(register: Register): Class {
  if (register.kind !== 'ban' || register.cause === 'order' || isTomb(register)) return 'urgent';
  return register.count > 1 ? 'escalated' : 'plain';
}
