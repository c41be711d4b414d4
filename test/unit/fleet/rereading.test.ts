import { expect, it } from 'vitest';
import { createRereading } from '../../../src/fleet/rereading.ts';

it('what is refused for a reason that passes is read again when that is over, some time apart, and once', () => {
  let now = 0;
  let isReading = false;
  const read: string[] = [];
  const reread = (member: string): boolean => {
    if (!isReading) read.push(`${member} ${now}`);
    return !isReading;
  };
  const rereading = createRereading({ now: () => now }, reread);
  const beats = (until: number): void => {
    for (; now <= until; now += 1_000) rereading.beat();
  };
  rereading.wants('edge2', 9_000);
  rereading.wants('edge2', 3_000);
  rereading.wants('edge3', 5_000);
  beats(10_000);
  expect(read.splice(0)).toEqual(['edge2 3000', 'edge3 5000']);
  // What is ahead still is refused once more by that, and wanted.
  rereading.wants('edge2', 12_000);
  isReading = true;
  beats(64_000);
  expect(read).toEqual([]);
  isReading = false;
  beats(200_000);
  expect(read.splice(0)).toEqual(['edge2 65000']);
  // The clock of the engine was set back by an hour.
  rereading.wants('edge2', 0);
  now -= 3_600_000;
  rereading.beat();
  expect(read).toHaveLength(0);
  rereading.wants('edge2', now);
  beats(now + 2_000);
  expect(read).toHaveLength(1);
});
