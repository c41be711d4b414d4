import { expect, it } from 'vitest';
import { createHasher } from '../../../src/engine/hash.ts';

/** Computed with the reference implementation of HalfSipHash, in C, with one and three rounds and 64 bits out. */
it.each([
  [1, 0x03020100, 0x07060504, 0x4d8d4667, 0xe0dacc81],
  [4, 0x03020100, 0x07060504, 0x46958eda, 0xe998ff5b],
  [5, 0x03020100, 0x07060504, 0x21c7b7f3, 0x3cd3c66d],
  [11, 0x03020100, 0x07060504, 0xf46b47b9, 0xbb209768],
  [1, 0xfedcba98, 0x89abcdef, 0x7fe4d6d6, 0x60f2dc4b],
  [4, 0xfedcba98, 0x89abcdef, 0xeaadc2a4, 0x676d6370],
  [5, 0xfedcba98, 0x89abcdef, 0x71ef6124, 0x7dd129cb],
  [11, 0xfedcba98, 0x89abcdef, 0xbac94ed4, 0x85fac595],
])('the hash of %i words under the key %i, %i is HalfSipHash-1-3', (count, k0, k1, first, second) => {
  const hasher = createHasher([k0, k1]);
  for (let index = 0; index < count; index += 1) hasher.input[index] = Math.imul(0x9e3779b9, index + 1);
  hasher.run(count);
  expect([...hasher.output].map((word) => word >>> 0)).toEqual([first, second]);
});
