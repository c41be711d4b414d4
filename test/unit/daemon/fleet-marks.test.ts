import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMarks } from '../../../src/daemon/fleet-marks.ts';
import { formatPort, type PortSpec } from '../../../src/packet/port.ts';
import { configOf } from '../../support/memory-machine.ts';

/* Lines that were used at other members: marked once, in the turn in which they are told or when they have to be. */

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-marks-'));
  path = join(folder, 'ssh.txt');
  writeFileSync(path, '7000,8000\n7001,8001\n7002,8002\n');
});
afterEach(() => rmSync(folder, { recursive: true }));

const text = (line: readonly PortSpec[]): string => line.map(formatPort).join(',');

it('marks at once what was told, where a grant that came of it is next, and no second time', async () => {
  const { doors } = configOf(`{ doors: { ssh: { one_time: ${path}, opens: [22] } } }`);
  const told: string[] = [];
  const marks = createMarks({
    doors: () => doors,
    digestOf: (_, line) => text(line),
    used: (door, by, { next }) => void told.push(`${door} ${by} ${text(next)}`),
    failed: (_, why) => void told.push(why),
  });
  marks.flush();
  marks.used('ssh', '7000/tcp,8000/tcp', 'edge2');
  expect(told).toEqual([]);
  marks.flush();
  expect(told).toEqual(['ssh edge2 7001/tcp,8001/tcp']);
  expect(readFileSync(path, 'utf8').split('\n')[0]).toMatch(/^#/);
  await nextTurn();
  marks.used('ssh', '7001/tcp,8001/tcp', 'edge3');
  await nextTurn();
  marks.flush();
  expect(told).toEqual(['ssh edge2 7001/tcp,8001/tcp', 'ssh edge3 7002/tcp,8002/tcp']);
});
