import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* scripts/power-cut.mjs makes the disk of a power cut out of what qemu logged: its form is that of dm-log-writes. */

const SECTOR = 512;
const SECTORS = 64;
const FLUSH = 1;
const FUA = 2;
const DISCARD = 4;
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

interface Entry {
  readonly sector: number;
  readonly letter: string;
  readonly flags: number;
}
const write = (sector: number, letter: string, flags = 0): Entry => ({ sector, letter, flags });
const flush: Entry = { sector: 0, letter: '', flags: FLUSH };

function sectorOf(...words: readonly bigint[]): Buffer {
  const sector = Buffer.alloc(SECTOR);
  for (const [index, word] of words.entries()) sector.writeBigUInt64LE(word, index * 8);
  return sector;
}

function logOf(entries: readonly Entry[]): Buffer {
  return Buffer.concat([
    sectorOf(0x6a736677736872n, 1n, 0n, BigInt(SECTOR)),
    ...entries.flatMap(({ sector, letter, flags }) => [
      sectorOf(BigInt(sector), letter === '' ? 0n : 1n, BigInt(flags)),
      Buffer.alloc(letter === '' || flags === DISCARD ? 0 : SECTOR, letter),
    ]),
  ]);
}

const SCRIPT: string = join(ROOT, 'scripts/power-cut.mjs');
const { cutPower } = (await import(SCRIPT)) as {
  cutPower: (disk: string, log: string, seed: number) => string;
};

describe('a power cut', () => {
  let disk: string;
  let log: string;
  beforeEach(() => {
    const folder = temporaryFolder();
    disk = join(folder, 'disk');
    log = join(folder, 'log');
  });
  /** The first letter of each sector asked for, after the cut. */
  const left = (text: Buffer, seed: number, sectors: readonly number[]): string => {
    writeFileSync(disk, Buffer.alloc(SECTORS * SECTOR, '.'));
    writeFileSync(log, text);
    cutPower(disk, log, seed);
    const found = readFileSync(disk);
    expect(found.length).toBe(SECTORS * SECTOR);
    return sectors.map((sector) => found.toString('latin1', sector * SECTOR, sector * SECTOR + 1)).join('');
  };

  it('keeps all that was flushed, in its order, and what had to be there at once', () => {
    const text = logOf([write(3, 'a'), write(4, 'b'), write(3, 'c'), flush, write(5, 'd', FUA)]);
    for (const seed of SEEDS.slice(0, 4)) expect(left(text, seed, [2, 3, 4, 5])).toBe('.cbd');
  });

  it('loses of what was not flushed all, some or nothing, as the seed says', () => {
    const text = logOf([write(3, 'a'), flush, write(3, 'b'), write(4, 'c'), write(5, 'd')]);
    const seen = new Set(SEEDS.map((seed) => left(text, seed, [3, 4, 5])));
    expect(seen).toContain('a..');
    expect(seen).toContain('bcd');
    expect(seen.size).toBeGreaterThan(3);
    for (const seed of SEEDS.slice(0, 3))
      expect(left(text, seed, [3, 4, 5])).toBe(left(text, seed, [3, 4, 5]));
  });

  it('goes on behind what was under way, and takes nothing that was cut off', () => {
    const hole = Buffer.alloc(3 * SECTOR);
    const whole = Buffer.concat([
      logOf([write(3, 'a')]),
      hole,
      logOf([write(7, '', DISCARD), write(4, 'b'), flush, write(5, 'c', FUA)]).subarray(SECTOR),
    ]);
    expect(left(whole, 1, [3, 4, 5, 7])).toBe('abc.');
    expect(left(whole.subarray(0, whole.length - 1), 1, [3, 4, 5, 7])).toBe('ab..');
  });

  it('is told by the command', () => {
    writeFileSync(disk, Buffer.alloc(SECTORS * SECTOR, '.'));
    writeFileSync(log, logOf([flush, write(3, 'a')]));
    const run = (): ReturnType<typeof spawnSync> => spawnSync(process.execPath, [SCRIPT, disk, log, '1']);
    const { status, stdout } = run();
    expect(status).toBe(0);
    expect(`${stdout}`).toMatch(/^2 writes and flushes; 1 writes after the last flush, [01] of them lost\n$/);
    writeFileSync(log, 'something else');
    const refused = run();
    expect(refused.status).toBe(1);
    expect(`${refused.stderr}`).toContain('is no log of writes');
  });
});
