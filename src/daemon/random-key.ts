import { randomBytes } from 'node:crypto';
import type { HashKey } from '../engine/hash.ts';

/** The key of the engine's tables, another at each start: nobody may choose addresses that collide in them. */
export function randomKey(): HashKey {
  const bytes = randomBytes(8);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}
