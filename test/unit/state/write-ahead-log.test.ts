import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../../src/state/sqlite.ts';
import { openWriteAheadLog } from '../../../src/state/write-ahead-log.ts';
import { grant, NOW } from './example.ts';

const LENGTH = 1 << 20;
/** SQLite's: what stands before the frames, and a frame with a page of 4 KiB. */
const [HEAD, FRAME] = [32, 4120];

let folder = '';
let path = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-state-'));
  path = join(folder, 'state.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const log = (): string => `${path}-wal`;
const open = (): ReturnType<typeof openStore>['store'] => openStore(path, { now: NOW }).store;

describe("the state file's log", () => {
  it('has its full length from the start, and what must be on the disk at once does not make it longer', () => {
    const store = open();
    expect(statSync(log()).size).toBe(LENGTH);
    for (let each = 0; each < 20; each += 1) store.write([grant('ssh', `192.0.2.${each}`)], NOW, 'machine');
    expect(statSync(log()).size).toBe(LENGTH);
    expect(store.health()).toEqual({ ok: true, reason: null });
    store.close();
    expect(open().load(NOW).grants).toHaveLength(20);
  });

  it('carries beside the thread what must be on the disk at once, though the store is closed meanwhile', async () => {
    const store = open();
    const kept = store.writeThrough([grant('ssh', '192.0.2.1')], NOW);
    // Written when it returns: a process that is killed now has it.
    const copy = `${path}-copy`;
    copyFileSync(path, copy);
    copyFileSync(log(), `${copy}-wal`);
    const killed = openStore(copy, { now: NOW }).store;
    expect(killed.load(NOW).grants).toHaveLength(1);
    killed.close();
    store.close();
    await kept;
    const after = open();
    expect(after.load(NOW).grants).toHaveLength(1);
    await after.writeThrough([grant('ssh', '192.0.2.2')], NOW);
    expect(after.health()).toEqual({ ok: true, reason: null });
    after.close();
  });

  it('that an earlier process left behind is read, and laid out behind what it holds', () => {
    const before = open();
    before.write([grant('ssh', '192.0.2.1')], NOW, 'machine');
    // As it is where the process was killed: with zeros behind what was written, or cut off there.
    const [database, whole] = [readFileSync(path), readFileSync(log())];
    before.close();
    let held = whole.length;
    while (whole[held - 1] === 0) held -= 1;
    held = HEAD + Math.ceil((held - HEAD) / FRAME) * FRAME;
    for (const length of [LENGTH, held]) {
      writeFileSync(path, database);
      writeFileSync(log(), whole.subarray(0, length));
      const store = open();
      expect(store.load(NOW).grants).toHaveLength(1);
      expect(statSync(log()).size).toBe(LENGTH);
      store.close();
    }
  });

  it('is not followed to where a link leads', () => {
    const other = join(folder, 'other');
    writeFileSync(other, 'mine');
    symlinkSync(other, log());
    expect(() => openWriteAheadLog(log())).toThrow('ELOOP');
    expect(readFileSync(other, 'utf8')).toBe('mine');
  });
});
