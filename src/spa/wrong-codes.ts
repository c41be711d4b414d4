import type { Address } from '../packet/address.ts';
import type { Milliseconds } from '../packet/time.ts';
import { sourceNetwork } from './source-network.ts';

/** Sources whose wrong codes are counted; one more, and of those with the fewest the one longest ago goes. */
export const WRONG_CODE_SOURCES_MAX = 65_536;

/** `wrong` of them within `per` are too many. */
export interface WrongCodeLimit {
  readonly wrong: number;
  readonly per: Milliseconds;
}

/** Wrong codes of each source. Two strikes a minute never ban: that would be 2,880 guesses a day. */
export interface WrongCodes {
  /** A source has knocked a wrong code; true: it is one too many, and counted anew from here. */
  note(source: Address, now: Milliseconds, limit: WrongCodeLimit): boolean;
  /** A source has knocked a right one: what it got wrong was a slip. */
  forgive(source: Address): void;
  count(): number;
}

export function createWrongCodes(): WrongCodes {
  /**
   * By how many they have, and then in the order of their last: anyone can knock in others' names, and who has guessed
   * more must not be forgotten for those.
   */
  const levels: Map<string, readonly Milliseconds[]>[] = [];
  let count = 0;

  function take(name: string): readonly Milliseconds[] {
    for (const level of levels) {
      const moments = level.get(name);
      if (moments === undefined) continue;
      level.delete(name);
      count -= 1;
      return moments;
    }
    return [];
  }

  function makeRoom(): void {
    for (const level of levels) {
      for (const oldest of level.keys()) {
        take(oldest);
        return;
      }
    }
  }

  return {
    note(source, now, { wrong, per }) {
      const name = sourceNetwork(source);
      const recent = [...take(name).filter((moment) => now - moment < per), now];
      if (recent.length >= wrong) return true;
      if (count >= WRONG_CODE_SOURCES_MAX) makeRoom();
      while (levels.length < recent.length) levels.push(new Map());
      levels[recent.length - 1]?.set(name, recent);
      count += 1;
      return false;
    },
    forgive(source) {
      take(sourceNetwork(source));
    },
    count: () => count,
  };
}
