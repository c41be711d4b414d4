/** Texts of its own that may stand on the bus: a claim writes an earlier one once more. */
const OWN_MAX = 8;
/** Another's is seen at each heartbeat; once it is what stood there before this member was started, or was away. */
const SEEN_MIN = 2;
/** In milliseconds. */
const SEEN_LATELY = 5_000;

/**
 * Another machine with this member's name and password, as a cloned image has: then neither hears what the other says,
 * and each writes over the other's word.
 */
export interface Twin {
  /** This member says this of itself next. */
  say(text: string): void;
  /** What stood there in its place, null: nothing; true where by that another is known to be there, and was not before. */
  meet(text: string | null): boolean;
  isThere(): boolean;
}

export function createTwin(now: () => number): Twin {
  let own: readonly string[] = [];
  let seen: readonly number[] = [];
  const isThere = (): boolean => seen.length >= SEEN_MIN && now() - (seen.at(-1) ?? 0) < SEEN_LATELY;
  return {
    say(text) {
      own = [text, ...own].slice(0, OWN_MAX);
    },
    meet(text) {
      if (text === null || own.includes(text)) return false;
      const before = isThere();
      seen = [now(), ...seen].slice(0, SEEN_MIN);
      return !before && isThere();
    },
    isThere,
  };
}
