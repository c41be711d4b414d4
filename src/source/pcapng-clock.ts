import { u16, u32 } from './pcap-framing.ts';

/** How an interface of a pcapng file counts time. */
export interface Clock {
  /** Units of a second: a power of ten or of two. */
  readonly unitsPerSecond: number;
  /** Seconds to be added to every stamp. */
  readonly offset: number;
}

/** What an interface without the options counts in. */
const MICROSECONDS: Clock = { unitsPerSecond: 1e6, offset: 0 };

const OPTION_END = 0;
const OPTION_TSRESOL = 9;
const OPTION_TSOFFSET = 14;
const POWER_OF_TWO = 0x80;
const TWO_32 = 2 ** 32;
/** Up to here the remainder below fits 32-bit arithmetic. */
const EXACT_UNITS_MAX = 2 ** 31;

/** Reads the options of an interface description between `from` and `tail`; broken ones are skipped. */
export function readClock(bytes: Uint8Array, from: number, tail: number, bigEndian: boolean): Clock {
  let { unitsPerSecond, offset } = MICROSECONDS;
  for (let at = from; at + 4 <= tail; ) {
    const code = u16(bytes, at, bigEndian);
    const length = u16(bytes, at + 2, bigEndian);
    if (code === OPTION_END || at + 4 + length > tail) break;
    if (code === OPTION_TSRESOL && length === 1) unitsPerSecond = unitsOf(bytes[at + 4] ?? 0);
    if (code === OPTION_TSOFFSET && length === 8) {
      const high = u32(bytes, at + (bigEndian ? 4 : 8), bigEndian) | 0;
      offset = high * TWO_32 + u32(bytes, at + (bigEndian ? 8 : 4), bigEndian);
    }
    at += 4 + ((length + 3) & ~3);
  }
  return { unitsPerSecond, offset };
}

/** Milliseconds since 1970 of a 64-bit stamp given as two words. The same moment gives the same number in any unit. */
export function stampOf(clock: Clock, high: number, low: number): number {
  const { unitsPerSecond, offset } = clock;
  const units = high * TWO_32 + low;
  if (unitsPerSecond > EXACT_UNITS_MAX) return (units / unitsPerSecond + offset) * 1000;
  // `units` may have more than the 53 bits of a number: its remainder is taken modulo 2^32, where it is exact.
  let seconds = Math.floor(units / unitsPerSecond);
  let rest = (low - Math.imul(seconds, unitsPerSecond)) >>> 0;
  if (rest >= EXACT_UNITS_MAX) {
    seconds -= 1;
    rest = (rest + unitsPerSecond) >>> 0;
  } else if (rest >= unitsPerSecond) {
    seconds += 1;
    rest -= unitsPerSecond;
  }
  return (seconds + offset) * 1000 + rest * (1000 / unitsPerSecond);
}

/** if_tsresol: the highest bit chooses the base, the others are the exponent. */
function unitsOf(resolution: number): number {
  const exponent = resolution & ~POWER_OF_TWO;
  return (resolution & POWER_OF_TWO) === 0 ? 10 ** exponent : 2 ** exponent;
}
