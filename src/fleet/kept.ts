import type { Book, Entry } from './book.ts';
import { type BusClock, GUESS_TOLERANCE } from './offset.ts';
import { merge, type Register, shifted } from './register.ts';

/** What was known of others before a restart, and is in force here already. */
export interface Kept {
  /**
   * After what this member itself has said, and nothing beside that: which lifts it was made after has not been kept, and
   * its moments are this machine's own clock's.
   */
  know(register: Register): void;
  /** Whether all that is known of it is what was kept, by this machine's own clock. */
  isGuessed(key: string): boolean;
  /** The bus's clock is known: until then moments were taken by this machine's own. */
  correct(): void;
  /** Whoever says it knows its moments better than what was kept. */
  confirm(entry: Entry, said: Register): void;
}

export function createKept(book: Book, clock: BusClock): Kept {
  let guessed = 0;
  return {
    know(register) {
      guessed = clock.offset();
      const entry = book.put(register, null);
      entry.kept = 'remembered';
      if (entry.own === undefined) book.set(entry, merge(entry.state, register));
    },
    isGuessed(key) {
      const entry = book.get(key);
      return entry?.kept === 'remembered' && entry.own === undefined;
    },
    correct() {
      const late = clock.offset() - guessed;
      guessed = clock.offset();
      // Where clocks are right it is not worth looking at a million of them.
      if (Math.abs(late) <= GUESS_TOLERANCE) return;
      for (const entry of book.entries())
        if (entry.kept === 'remembered' && entry.own === undefined)
          book.set(entry, shifted(entry.state, late));
    },
    confirm(entry, said) {
      const { state } = entry;
      if (entry.kept !== 'remembered' || entry.own !== undefined || said.gen !== state.gen) return;
      if (state.kind === 'amnesty' || said.kind === 'amnesty') return;
      if (Math.abs(state.until - said.until) > GUESS_TOLERANCE) return;
      entry.kept = 'confirmed';
      if (said.kind === 'ban' && state.kind === 'ban') book.set(entry, { ...said, count: state.count });
      if (said.kind === 'grant' && state.kind === 'grant') book.set(entry, said);
    },
  };
}
