import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../../src/state/sqlite.ts';
import { built } from '../cli/built.ts';
import { ban, cidr, grant, NOW } from './example.ts';

/** A batch of the child: as many bans as a flood would make in one turn of the daemon. */
const BATCH = 20;

let folder = '';
let path = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-state-'));
  path = join(folder, 'state.db');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Writes batches as fast as it can, and says the number of each once the store has taken it. */
const WRITER = `
import { writeSync } from 'node:fs';
const { openStore } = await import(process.argv[1] + '/state/sqlite.js');
const [path, first] = process.argv.slice(2);
const now = ${NOW};
const { store } = openStore(path, { now });
const host = (a) => ({ address: { family: 4, a: a | 0, b: 0, c: 0, d: 0 }, bits: 32 });
for (let batch = Number(first); ; batch += 1) {
  const bans = Array.from({ length: ${BATCH} }, (_, i) => ({
    change: 'ban', ban: { target: host(batch * ${BATCH} + i), since: now, until: now + 9e8, count: batch + 1 },
  }));
  const owner = host(0x7f000001);
  const grant = { door: 'ssh', grantee: owner, source: owner, since: batch, until: now + 9e8, usesLeft: null, reason: null };
  store.write([...bans, { change: 'grant', grant }], now);
  writeSync(1, batch + '\\n');
}
`;

describe('a daemon that is killed while it writes', () => {
  // Against: kill -9 between disk, kernel and log
  // by: durable, then in force, then announced
  it('loses nothing that it had acknowledged, and leaves no half of a batch', async () => {
    let acknowledged = -1;
    for (let round = 0; round < 8; round += 1) {
      const child = spawn(
        process.execPath,
        ['--input-type=module', '-e', WRITER, built(), path, String(acknowledged + 1)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const said = await killAfter(child, 1 + ((round * 37) % 60));
      const { store, notice } = openStore(path, { now: NOW });
      const { bans, grants } = store.load(NOW);
      store.close();
      expect(notice).toBeNull();
      expect(said).toBeGreaterThan(acknowledged);
      // The batch under way at the kill is there whole or not at all.
      expect([said + 1, said + 2]).toContain(bans.length / BATCH);
      expect(grants.map(({ since }) => since)).toEqual([bans.length / BATCH - 1]);
      acknowledged = bans.length / BATCH - 1;
    }
  }, 120_000);
});

/** Kills the child so many milliseconds after its first batch; answers with the last batch that it said. */
async function killAfter(child: ChildProcess, delay: number): Promise<number> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    if (text === '') setTimeout(() => child.kill('SIGKILL'), delay);
    text += piece;
  });
  await once(child, 'close');
  return Number(text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1));
}

describe.skipIf(process.getuid?.() !== 0)('a disk that is full', () => {
  // Against: a full disk
  // by: the state goes on in memory
  it('leaves the daemon working in memory, and the file whole once there is space', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
    try {
      const { store } = openStore(path, { now: NOW });
      store.write([grant('ssh', '198.51.100.7', { until: NOW + 9e6 })], NOW);
      execFileSync('sh', ['-c', 'head -c 2000000 /dev/zero > "$0/filler" || true', folder], {
        stdio: 'ignore',
      });
      for (let i = 0; i < 3000; i += 1) store.write([ban(`203.0.${i >> 8}.${i & 255}`, NOW + 9e6)], NOW);
      expect(store.health().reason).toContain('no space');
      store.write([], NOW + 5000);
      expect(store.health().ok).toBe(false);
      rmSync(join(folder, 'filler'));
      store.write([], NOW + 100_000);
      expect(store.health()).toEqual({ ok: true, reason: null });
      store.close();
      const again = openStore(path, { now: NOW }).store;
      const { grants, bans } = again.load(NOW);
      expect(grants.map(({ source }) => source)).toEqual([cidr('198.51.100.7')]);
      expect(bans).toHaveLength(3000);
      again.close();
    } finally {
      execFileSync('umount', ['-l', folder]);
    }
  });

  it('that has room again is written to at the end, whenever the next try would have been', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
    try {
      const { store } = openStore(path, { now: NOW });
      store.write([ban('203.0.113.9', NOW + 9e6)], NOW);
      execFileSync('sh', ['-c', 'head -c 2000000 /dev/zero > "$0/filler" || true', folder], {
        stdio: 'ignore',
      });
      for (let i = 0; i < 3000; i += 1) store.write([ban(`203.0.${i >> 8}.${i & 255}`, NOW + 9e6)], NOW);
      store.write([grant('ssh', '198.51.100.7', { until: NOW + 9e6 })], NOW);
      expect(store.health().ok).toBe(false);
      rmSync(join(folder, 'filler'));
      store.close();
      const again = openStore(path, { now: NOW }).store;
      const { grants, bans } = again.load(NOW);
      expect([grants.length, bans.length]).toEqual([1, 3001]);
      again.close();
    } finally {
      execFileSync('umount', ['-l', folder]);
    }
  });

  it('that is full at the start still gives back what was on it', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
    try {
      const first = openStore(path, { now: NOW }).store;
      first.write([ban('203.0.113.9', NOW + 9e6)], NOW);
      first.close();
      execFileSync('sh', ['-c', 'head -c 2000000 /dev/zero > "$0/filler" || true', folder], {
        stdio: 'ignore',
      });
      const { store } = openStore(path, { now: NOW });
      expect(store.load(NOW).bans).toHaveLength(1);
      store.write([ban('203.0.113.10', NOW + 9e6)], NOW);
      expect(store.health().ok).toBe(false);
      store.close();
    } finally {
      execFileSync('umount', ['-l', folder]);
    }
  });
});
