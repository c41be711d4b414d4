import type { Early, Unsettled } from './early.ts';
import type { Register } from './register.ts';
import type { View } from './view.ts';

/** What the state file has of the fleet. */
export interface KeptWords {
  /** What this member said, and of that what was not told yet. */
  readonly own: Iterable<Register>;
  readonly untold: Iterable<Register>;
  /** What it said while it did not know the time, and did not put right since. */
  readonly early: Iterable<Unsettled>;
  /** What others said that is in force here; without it every restart would end it and put it in force again. */
  readonly known: Iterable<Register>;
}

interface Resuming {
  readonly view: View;
  readonly early: Early;
  /** To be told. */
  put(register: Register): void;
}

/** Takes up what was said before a restart. What is put right is told then. */
export function resume(
  { own, untold, early: unsettled, known }: KeptWords,
  { view, early, put }: Resuming,
): void {
  for (const register of own) view.say(register);
  for (const register of untold) put(view.say(register));
  early.resume(unsettled);
  for (const register of known) view.know(register);
}
