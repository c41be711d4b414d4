import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './cleanup.ts';
import { ROOT } from './root.ts';

/** A folder and an environment in which the daemon's wall clock, and the clock that counts sleep, are set by the test. */
export function skewed(): {
  readonly folder: string;
  readonly env: Record<string, string>;
  /** Milliseconds ahead of the truth. */
  set(wall: number, boot: number, clock?: 'synchronised' | 'not synchronised'): void;
} {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-skew-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const library = join(folder, 'skew.so');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, join(ROOT, 'test/support/skew.c')]);
  const file = join(folder, 'skew');
  writeFileSync(file, Buffer.alloc(24));
  return {
    folder,
    env: { SKEW: file, LD_PRELOAD: library },
    set(wall, boot, clock) {
      const bytes = Buffer.alloc(24);
      bytes.writeBigInt64LE(BigInt(wall), 0);
      bytes.writeBigInt64LE(BigInt(boot), 8);
      bytes.writeBigInt64LE(clock === undefined ? 0n : clock === 'synchronised' ? 1n : 2n, 16);
      writeFileSync(file, bytes, { flag: 'r+' });
    },
  };
}
