import { expect, it } from 'vitest';
import { type MemorySource, memorySource } from '../../support/memory-source.ts';
import { sourceFaults } from '../../support/source-contract.mjs';
import { udp } from './capture-bytes.ts';

it('a source in memory does what the queue and the log group do', async () => {
  let source: MemorySource | undefined;
  const faults = await sourceFaults({
    open: (onBatch) => {
      source = memorySource(onBatch);
      return source;
    },
    send: async (port, count) =>
      source?.send(Array.from({ length: count }, () => udp('192.0.2.7', '192.0.2.1', 40_000, port))),
    settled: async () => undefined,
  });
  expect(faults).toEqual([]);
});
