import { describe, expect, it } from 'vitest';
import { type Scene, screenLines } from '../../../src/cli/output/screen.ts';
import { widthOf } from '../../../src/cli/output/table.ts';
import { STATUS } from '../control/example.ts';
import { ROWS } from './canned.ts';

const scene: Scene = {
  status: STATUS,
  ...ROWS,
  events: Array.from({ length: 100 }, (_, index) => `06:40:00 event ${index}`),
  lost: 0,
  trouble: null,
  now: Date.now(),
};
const plain = (_: string, line: string): string => line;

describe('the live screen', () => {
  it('fits every size of terminal', () => {
    const problems = Array.from({ length: 9 }, (_, index) => ({
      what: `problem ${index}`,
      fix: 'x'.repeat(200),
    }));
    for (const rows of [1, 2, 3, 5, 10, 24, 60]) {
      for (const columns of [1, 10, 39, 80, 200]) {
        for (const each of [
          scene,
          { ...scene, status: { ...STATUS, problems }, trouble: 'no daemon', lost: 7 },
        ]) {
          const lines = screenLines(each, { columns, rows }, plain);
          expect(lines.length).toBeLessThanOrEqual(rows);
          expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  it('ends with the newest event, and says how much of the rest is not shown', () => {
    const sources = Array.from({ length: 50 }, (_, index) => ({
      source: `203.0.113.${index}`,
      strikes: index,
      attempts: [],
      banned: null,
    }));
    const lines = screenLines({ ...scene, sources }, { columns: 80, rows: 30 }, plain);
    expect(lines).toHaveLength(30);
    expect(lines.at(-1)).toBe('06:40:00 event 99');
    expect(lines).toContainEqual(expect.stringMatching(/^203\.0\.113\.49 +49 strikes$/));
    expect(lines).toContainEqual(expect.stringMatching(/^… and \d+ more$/));
  });

  it('shows no more of the queue than the daemon may read', () => {
    const health = (queue: Scene['status']['queue']): string | undefined =>
      screenLines({ ...scene, status: { ...STATUS, queue } }, { columns: 80, rows: 9 }, plain)[1];
    expect(health(STATUS.queue)).toMatch(/^ queue 0 waiting, 0 lost, 0\.4 ms · 2 bans/);
    const unknown = { ...STATUS.queue, depth: null, kernel_dropped: null, user_dropped: 3 };
    expect(health(unknown)).toMatch(/^ queue at least 3 lost, 0\.4 ms · 2 bans/);
  });

  it('says first what is wrong', () => {
    const problems = Array.from({ length: 6 }, (_, index) => ({ what: `problem ${index}`, fix: 'fix it' }));
    const lines = screenLines(
      { ...scene, status: { ...STATUS, problems }, trouble: 'the daemon went away' },
      { columns: 80, rows: 40 },
      plain,
    );
    expect(lines.slice(2, 8)).toEqual([
      ' ! the daemon went away',
      ' ! problem 0: fix it',
      ' ! problem 1: fix it',
      ' ! problem 2: fix it',
      ' ! problem 3: fix it',
      ' ! and 2 more: see nfknock status',
    ]);
  });

  it('emphasises only where it is asked to', () => {
    const lines = screenLines(scene, { columns: 80, rows: 30 }, (emphasis, line) => `<${emphasis}>${line}`);
    expect(lines.filter((line) => line.startsWith('<heading>'))).toEqual([
      '<heading>Doors and who is in',
      '<heading>Offenders',
      '<heading>Latest events',
    ]);
  });
});
