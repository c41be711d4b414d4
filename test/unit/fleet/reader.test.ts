import { expect, it } from 'vitest';
import { createMemoryEngine } from '../../../src/fleet/memory-bus.ts';
import { createReader } from '../../../src/fleet/reader.ts';

it('a member whose numbers went back with the clock of the engine is read where a doorbell is lost', () => {
  const queue: (() => void)[] = [];
  const run = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  };
  const engine = createMemoryEngine({
    wire: { carry: (_, way, arrive) => void (way === 'doorbell' || queue.push(arrive)) },
    now: () => 1_000,
    fsync: 'always',
  });
  const [here, there] = ['edge1', 'edge2'].map((name) => {
    const bus = engine.bus(name);
    bus.listen({ connected: () => undefined, disconnected: () => undefined, heard: () => undefined });
    return bus;
  });
  run();
  if (here === undefined || there === undefined) throw new Error('no bus');
  const read: number[] = [];
  const reader = createReader({
    bus: here,
    message: (_, [number = 0]) => void read.push(number),
    rows: () => undefined,
    finished: () => undefined,
  });
  const tell = (number: number): void =>
    there.tell({ rows: [], message: Uint8Array.of(number) }, () => undefined);
  tell(1);
  run();
  reader.said('edge2', 90, 1);
  run();
  reader.heard('edge2', 91);
  // Another life, whose clock is behind that of the one before.
  reader.said('edge2', 10, 2);
  run();
  tell(11);
  run();
  reader.said('edge2', 11, 2);
  run();
  expect(read).toEqual([11]);
});
