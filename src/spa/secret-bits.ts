/** Kinds of characters, and how many there are of each. */
const CLASSES: readonly (readonly [pattern: RegExp, count: number])[] = [
  [/[a-z]/, 26],
  [/[A-Z]/, 26],
  [/[0-9]/, 10],
  [/[ -/:-@[-`{-~]/, 33],
];

/**
 * The bits that a secret has at most: eight a byte, or as many as its kinds of characters allow where it is text that
 * somebody can have typed. Words have far fewer.
 */
export function secretBits(secret: Uint8Array): number {
  const text = Buffer.from(secret).toString('latin1');
  if (!/^[ -~]+$/.test(text)) return secret.length * 8;
  const characters = CLASSES.filter(([pattern]) => pattern.test(text)).reduce(
    (sum, [, count]) => sum + count,
    0,
  );
  return Math.floor(text.length * Math.log2(characters));
}
