import { createWideMap, type WideMap } from '../table/wide-map.ts';
import { emptyOutcome, type Outcome } from './belief.ts';
import type { Bus, RegisterTable } from './bus.ts';
import { Unreadable } from './bytes.ts';
import type { Host, Surroundings } from './host.ts';
import { covers, type Register, registerKey, sameState } from './register.ts';
import { registerOf } from './row.ts';
import type { View } from './view.ts';

/** After an engine was started anew its members do not all tell it everything at once, but within so many milliseconds. */
const SPREAD = 5_000;
const TABLES: readonly RegisterTable[] = ['bans', 'grants'];
/** Registers that are looked at in one turn. */
const PIECE = 512;

/**
 * After each new run of the engine a member compares what is there of its own with what it has said, and says again what
 * is missing: a replica that was promoted, or a disk that was behind, has forgotten things. What is there and this member
 * does not know of, since its state file is gone, is its own again.
 */
export interface Reassertion {
  /** `settles`: the engine may have forgotten things. What a cut broke off begins again. */
  connected(how: 'settles' | 'goes on'): void;
  begin(): void;
  disconnected(): void;
}

interface ReassertionParts {
  readonly member: string;
  readonly bus: Bus;
  readonly view: Pick<View, 'own' | 'ownOf' | 'isOver' | 'hear' | 'say'>;
  readonly host: Pick<Host, 'keep' | 'told'>;
  readonly surroundings: Pick<Surroundings, 'after' | 'random'>;
  tell(registers: Iterable<Register>): void;
  /** Their rows on the bus go. */
  drop(registers: readonly Register[]): void;
  carryOut(origin: string, outcome: Outcome): void;
}

export function createReassertion({
  member,
  bus,
  view,
  host,
  surroundings,
  tell,
  drop,
  carryOut,
}: ReassertionParts): Reassertion {
  let life = 0;
  let isDue = false;
  let callOff: (() => void) | undefined;

  function scan(table: number, cursor: string | null, there: WideMap<Register>): void {
    const name = TABLES[table];
    if (name === undefined) {
      compare(there);
      return;
    }
    const made = life;
    bus.scan(member, name, cursor, (answer) => {
      if (made !== life || !answer.ok) return;
      for (const row of answer.value.entries) {
        const register = registerOf(row);
        if (!(register instanceof Unreadable)) there.set(registerKey(register), register);
      }
      const { next } = answer.value;
      scan(next === null ? table + 1 : table, next, there);
    });
  }

  /** Who owns a quarter of a million looks at some, and lets packets in between. */
  function inPieces<T>(all: Iterator<T>, take: (piece: readonly T[]) => void, done: () => void): void {
    const piece: T[] = [];
    while (piece.length < PIECE) {
      const next = all.next();
      if (next.done === true) {
        take(piece);
        done();
        return;
      }
      piece.push(next.value);
    }
    take(piece);
    const made = life;
    surroundings.after(0, () => {
      if (made === life) inPieces(all, take, done);
    });
  }

  function compare(there: WideMap<Register>): void {
    const tellMissing = (piece: readonly Register[]): void => {
      const missing = piece.filter((own) => {
        const said = there.get(registerKey(own));
        return said === undefined || !sameState(said, own);
      });
      tell(missing);
    };
    inPieces(there.entries(), regain, () => {
      inPieces(view.own()[Symbol.iterator](), tellMissing, () => {
        isDue = false;
      });
    });
  }

  function regain(there: readonly (readonly [string, Register])[]): void {
    const outcome = emptyOutcome();
    const regained: Register[] = [];
    const over: Register[] = [];
    for (const [key, register] of there) {
      // The state file of a member that was killed may be behind what it had told.
      const own = view.ownOf(key);
      if (own !== undefined && covers(own, register)) continue;
      if (own === undefined && view.isOver(register)) {
        over.push(register);
        continue;
      }
      view.hear(member, register, 'read', outcome);
      regained.push(view.say(register));
    }
    drop(over);
    if (regained.length === 0) return;
    host.keep(regained);
    host.told(regained);
    carryOut(member, outcome);
  }

  function begin(): void {
    callOff?.();
    callOff = surroundings.after(surroundings.random() * SPREAD, () => {
      callOff = undefined;
      scan(0, null, createWideMap());
    });
  }

  return {
    connected(how) {
      if (how === 'settles') isDue = true;
    },
    begin() {
      if (isDue) begin();
    },
    disconnected() {
      life += 1;
      callOff?.();
      callOff = undefined;
    },
  };
}
