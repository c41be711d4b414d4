import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createLab, type Lab } from '../support/native-lab.ts';
import { ROOT } from '../support/root.ts';

/* The contract that test/unit/source holds the memory source to, here for the sources of a real daemon. */

let lab: Lab;

beforeAll(() => {
  lab = createLab();
});
afterEach(() => lab.killAll());
afterAll(() => lab.close());

const url = (path: string): string => JSON.stringify(pathToFileURL(join(ROOT, path)).href);

it.each([
  ['queue', `{ openNfqueue } = await import(${url('dist/source/nfqueue.js')})`, 7_000],
  ['log group', `{ openNflog } = await import(${url('dist/source/nflog.js')})`, 8_000],
] as const)('a source over a %s does what the one in memory does', async (_, opener, first) => {
  const [faults] = await lab.run(`
    const { sourceFaults } = await import(${url('test/support/source-contract.mjs')});
    const ${opener};
    let arrived = 0;
    let last = 0;
    say(await sourceFaults({
      open: (onBatch) => {
        const counted = (batch, packets) => { arrived += packets; last = performance.now(); onBatch(batch, packets); };
        return ${first} === 7000
          ? openNfqueue({ queue: 7, length: () => 1024, onBatch: counted, onError })
          : openNflog({ group: 5, onBatch: counted, onError });
      },
      send: (port, count) => send(${first} + port, 1, count),
      // What is sent to loopback is there before send answers; it is read, and its batch handed over, soon after.
      settled: async () => {
        last = performance.now();
        await until(() => performance.now() - last > 300);
      },
    }));
  `);
  expect(faults).toEqual([]);
});
