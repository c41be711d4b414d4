/** A number from 0 up to, but not including, `below`; the same ones for the same seed. */
export type Random = (below: number) => number;

/** xorshift32 (Marsaglia), with its seed spread so that neighbouring seeds differ. */
export function randomOf(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Bytes and numbers that lengths, counts and offsets go wrong at. */
const ODD_BYTES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 19, 20, 21, 39, 40, 44, 60, 0x7f, 0x80, 0xfe, 0xff];

/** Changes a few bytes, and sometimes the length, of what was sound; `bytes` itself is changed. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  for (let changes = random(5); changes > 0 && bytes.length > 0; changes -= 1) {
    const at = random(bytes.length);
    const kind = random(4);
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    else if (kind === 1) bytes[at] = random(256);
    else bytes[at] = ODD_BYTES[random(ODD_BYTES.length)] ?? 0;
  }
  switch (random(8)) {
    case 0:
      return bytes.subarray(0, random(bytes.length + 1));
    case 1:
      return Buffer.concat([bytes, bytes.subarray(0, random(32))]);
    case 2: {
      const at = random(bytes.length + 1);
      return Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(Math.min(bytes.length, at + 1 + random(16))),
      ]);
    }
    default:
      return bytes;
  }
}

/** The same for text: what the dictionary holds is put in, too. */
export function mutateText(text: string, words: readonly string[], random: Random): string {
  let result = text;
  for (let changes = 1 + random(4); changes > 0; changes -= 1) {
    const at = random(result.length + 1);
    const kind = random(4);
    const cut = at + random(kind === 0 ? 1 : 12);
    const piece =
      kind === 3
        ? ''
        : kind === 2
          ? String.fromCharCode(random(0x3000))
          : (words[random(words.length)] ?? '');
    result = result.slice(0, at) + piece + result.slice(cut);
  }
  return result;
}

/** The same for a text that is kept as its bytes. */
export function varyText(kept: Buffer, words: readonly string[], random: Random): Buffer {
  return Buffer.from(mutateText(kept.toString(), words, random));
}

export function pick<Item>(items: readonly Item[], at: number, otherwise: Item): Item {
  return items[at] ?? otherwise;
}
