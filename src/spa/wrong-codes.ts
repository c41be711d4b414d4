import type { Address } from '../packet/address.ts';
import type { Milliseconds } from '../packet/time.ts';
import { sourceNetwork } from './source-network.ts';

/** Sources whose wrong codes are counted; one more, and the one whose last is longest ago goes. */
export const WRONG_CODE_SOURCES_MAX = 65_536;

/** Wrong codes of each source. Two strikes a minute never ban: that would be 2,880 guesses a day. */
export interface WrongCodes {
  /** A source has knocked a wrong code; true: it is one too many, and counted anew from here. */
  note(source: Address, now: Milliseconds): boolean;
  /** A source has knocked a right one: what it got wrong was a slip. */
  forgive(source: Address): void;
  count(): number;
}

/** `wrong` of them within `per` are too many. */
export function createWrongCodes({
  wrong,
  per,
}: {
  readonly wrong: number;
  readonly per: Milliseconds;
}): WrongCodes {
  const moments = new Map<string, readonly Milliseconds[]>();
  return {
    note(source, now) {
      const name = sourceNetwork(source);
      const recent = [...(moments.get(name) ?? []).filter((moment) => now - moment < per), now];
      moments.delete(name);
      if (recent.length >= wrong) return true;
      moments.set(name, recent);
      if (moments.size > WRONG_CODE_SOURCES_MAX) {
        for (const oldest of moments.keys()) {
          moments.delete(oldest);
          break;
        }
      }
      return false;
    },
    forgive(source) {
      moments.delete(sourceNetwork(source));
    },
    count: () => moments.size,
  };
}
