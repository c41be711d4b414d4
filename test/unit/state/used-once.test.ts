import { describe } from 'vitest';
import { createSeen } from '../../../src/spa/seen.ts';
import { usedOnceContract } from './used-once-contract.ts';

describe("This machine's memory of what was used", () => {
  usedOnceContract(() => createSeen());
});
