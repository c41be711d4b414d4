/** Two random 32-bit words; in a replay they are fixed. */
export type HashKey = readonly [number, number];

export interface Hasher {
  /** What is to be hashed: fill the first words, then call `run`. */
  readonly input: Int32Array;
  /** Hashes the first `count` words; the 64-bit result is in `output`. */
  run(count: number): void;
  readonly output: Int32Array;
}

/** Words that one hash can take: an IPv6 packet's retransmission key has 12. */
const INPUT_WORDS_MAX = 12;

/**
 * HalfSipHash-1-3 with 64 bits of output, as Linux's `hsiphash` uses it for tables that strangers fill: without
 * the key nobody can choose addresses that collide. (Aumasson, Bernstein: SipHash; the 32-bit-word variant.)
 */
export function createHasher(key: HashKey): Hasher {
  const input = new Int32Array(INPUT_WORDS_MAX);
  const output = new Int32Array(2);
  const [k0, k1] = key;

  function run(count: number): void {
    let v0 = k0 | 0;
    let v1 = (k1 ^ 0xee) | 0;
    let v2 = (0x6c796765 ^ k0) | 0;
    let v3 = (0x74656462 ^ k1) | 0;
    // The words, the length as the last word, then three rounds for each half of the output.
    for (let round = 0; round < count + 7; round += 1) {
      let word = 0;
      if (round < count) word = input[round] ?? 0;
      else if (round === count) word = count << 26;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
      if (round === count) v2 ^= 0xee;
      if (round === count + 3) {
        output[0] = v1 ^ v3;
        v1 ^= 0xdd;
      }
    }
    output[1] = v1 ^ v3;
  }

  return { input, output, run };
}

/** The least power of two that is no less than `value`. */
export function powerOfTwo(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}
