#!/usr/bin/env node
// What a power cut leaves of a disk:
//
//   node scripts/power-cut.mjs DISK LOG SEED
//
// DISK is as it was when the machine was switched on; LOG is what qemu's driver blklogwrites wrote of it since, in the form
// of dm-log-writes. All up to the last flush that was done is on the disk, and so is every write that had to be there at once
// (FUA). What came later was in the drive's cache: which of it came through is drawn from SEED, from all to none.
// A killed qemu alone would lose nothing of what the guest ever wrote, since this machine's memory goes on.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SECTOR = 512;
const MAGIC = 0x6a736677736872n;
const HEADER = 32;
const FLAGS = { flush: 1, fua: 2, discard: 4 };
const FLAGS_MAX = 15n;
/** No request of a disk of virtio is larger. */
const SECTORS_MAX = 1n << 20n;

/** Headers are padded with zeros; what was under way at the cut may have left a hole. */
function headerAt(text, at) {
  const header = text.subarray(at, at + SECTOR);
  if (header.length < SECTOR || header.subarray(HEADER).some((byte) => byte !== 0)) return undefined;
  const [sector, sectors, flags] = [0, 8, 16].map((from) => header.readBigUInt64LE(from));
  if (sectors > SECTORS_MAX || flags > FLAGS_MAX || (sectors === 0n && flags === 0n)) return undefined;
  return { sector: Number(sector), sectors: Number(sectors), flags: Number(flags) };
}

function* entriesOf(text) {
  let at = SECTOR;
  while (at < text.length) {
    const header = headerAt(text, at);
    at += SECTOR;
    if (header === undefined) continue;
    const length = (header.flags & FLAGS.discard) === 0 ? header.sectors * SECTOR : 0;
    // Cut off: it was never told to be done.
    if (at + length > text.length) continue;
    yield { ...header, data: text.subarray(at, at + length) };
    at += length;
  }
}

/** Mulberry32: the same seed draws the same. */
function drawer(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makes DISK what is left of it, and tells how much was lost. */
export function cutPower(disk, log, seed) {
  const text = readFileSync(log);
  if (text.length < SECTOR || text.readBigUInt64LE(0) !== MAGIC)
    throw new Error(`${log} is no log of writes`);
  const all = [...entriesOf(text)];
  const flushed = all.findLastIndex(({ flags }) => (flags & FLAGS.flush) !== 0);
  const draw = drawer(seed);
  const share = draw();
  const target = openSync(disk, 'r+');
  let after = 0;
  let lost = 0;
  for (const [index, { sector, flags, data }] of all.entries()) {
    if (data.length === 0) continue;
    const cached = index > flushed && (flags & FLAGS.fua) === 0;
    if (cached) after += 1;
    if (cached && draw() >= share) lost += 1;
    else writeSync(target, data, 0, data.length, sector * SECTOR);
  }
  closeSync(target);
  return `${all.length} writes and flushes; ${after} writes after the last flush, ${lost} of them lost`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [disk, log, seed] = process.argv.slice(2);
  if (seed === undefined) {
    process.stderr.write('usage: node scripts/power-cut.mjs DISK LOG SEED\n');
    process.exit(2);
  }
  try {
    process.stdout.write(`${cutPower(disk, log, Number(seed))}\n`);
  } catch (error) {
    process.stderr.write(`power-cut: ${error.message}\n`);
    process.exit(1);
  }
}
