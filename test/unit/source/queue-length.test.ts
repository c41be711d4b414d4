import { expect, it } from 'vitest';
import { lengthFor } from '../../../src/source/queue-length.ts';

it.each([
  [262_144, 1, 65_535],
  [65_536, 1, 16_384],
  [65_536, 2, 8_192],
  [8_192, 1, 2_048],
  [4_096, 1, 1_024],
  [4_096, 4, 256],
  [512, 1, 128],
  [3, 1, 1],
  [0, 1, 65_535],
])(
  'of a conntrack table of %i entries %i queues may take a quarter together: %i each',
  (table, queues, length) => {
    expect(lengthFor(table, queues)).toBe(length);
  },
);

// Against: filling the machine's conntrack with packets that wait in our queues
// by: the queues together hold a quarter of its table, looked up every 5 s
it('all queues together hold no more than a quarter of the table, however small', () => {
  for (let round = 0; round < 1000; round += 1) {
    const table = 1 + Math.floor(Math.random() * 1_000_000);
    const queues = 1 + Math.floor(Math.random() * 16);
    expect(queues * lengthFor(table, queues)).toBeLessThanOrEqual(Math.max(table / 4, queues));
  }
});
