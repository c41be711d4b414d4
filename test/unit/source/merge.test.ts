import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMerge } from '../../../src/source/merge.ts';
import type { Batch } from '../../../src/source/source.ts';

/** A batch of packets that hold one byte each: its name. */
function batchOf(...packets: readonly (readonly [name: string, stamp: number])[]): Batch {
  return {
    bytes: Uint8Array.from(packets.map(([name]) => name.charCodeAt(0))),
    offsets: Int32Array.from(packets.keys()),
    lengths: new Int32Array(packets.length).fill(1),
    stamps: Float64Array.from(packets.map(([, stamp]) => stamp)),
  };
}

describe('packets of several sources', () => {
  let heard = '';
  let calls = 0;
  const listen = (batch: Batch, count: number): void => {
    calls += 1;
    for (let index = 0; index < count; index += 1) {
      expect(batch.lengths[index]).toBe(1);
      heard += String.fromCharCode(batch.bytes[batch.offsets[index] ?? 0] ?? 0);
    }
  };
  const open = (): ReturnType<typeof createMerge> =>
    createMerge(
      listen,
      () => performance.now(),
      () => Date.now(),
    );

  /** Lets time go by, and the reading of every source that comes after a timer. */
  const pass = (ms: number): void => {
    vi.advanceTimersByTime(ms);
    vi.advanceTimersByTime(1);
  };

  beforeEach(() => {
    heard = '';
    calls = 0;
    vi.useFakeTimers({ now: 1_000_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('are judged in the order of their stamps, whichever source was read first', () => {
    const merge = open();
    const [queue, group] = [merge.open(), merge.open()];
    queue.take(batchOf(['a', 1], ['c', 3]), 2);
    group.take(batchOf(['b', 2], ['d', 4]), 2);
    pass(12);
    expect(heard).toBe('abcd');
  });

  it('that have waited while the process stood still wait until every source was read again', () => {
    const merge = open();
    const [queue, group] = [merge.open(), merge.open()];
    queue.take(batchOf(['b', 2]), 1);
    vi.setSystemTime(Date.now() + 500);
    vi.advanceTimersByTime(12);
    queue.take(batchOf(['c', 3]), 1);
    group.take(batchOf(['a', 1]), 1);
    expect(heard).toBe('a');
    pass(0);
    expect(heard).toBe('ab');
    pass(12);
    expect(heard).toBe('abc');
  });

  it('do not wait where no older one can come any more', () => {
    const merge = open();
    const [queue, group] = [merge.open(), merge.open()];
    queue.take(batchOf(['a', 1], ['d', 4]), 2);
    expect(heard).toBe('');
    group.take(batchOf(['b', 2], ['c', 3]), 2);
    expect(heard).toBe('abc');
    pass(12);
    expect(heard).toBe('abcd');
  });

  it('wait 12 ms for a source that has nothing, and no longer', () => {
    const merge = open();
    const [queue] = [merge.open(), merge.open()];
    queue.take(batchOf(['a', 1]), 1);
    pass(11);
    expect(heard).toBe('');
    pass(1);
    expect(heard).toBe('a');
  });

  it('wait for nothing where there is one source, which is handed through as it is', () => {
    const merge = open();
    const only = merge.open();
    only.take(batchOf(['b', 2], ['a', 1]), 2);
    expect(heard).toBe('ba');
  });

  it('without a stamp stand where they came in', () => {
    const merge = open();
    const [queue, group] = [merge.open(), merge.open()];
    queue.take(batchOf(['b', 0]), 1);
    group.take(batchOf(['a', Date.now() - 1]), 1);
    pass(12);
    expect(heard).toBe('ab');
  });

  it('are all handed on in a flood from one, in calls of many', () => {
    const merge = open();
    const [queue] = [merge.open(), merge.open()];
    const flood = batchOf(...Array.from({ length: 128 }, (_, index) => ['x', index + 1] as const));
    for (let batch = 0; batch < 100; batch += 1) queue.take(flood, 128);
    pass(30);
    expect(heard).toHaveLength(12_800);
    expect(calls).toBeLessThan(30);
  });

  it('of a source that is closed are lost, and nobody waits for it any more', () => {
    const merge = open();
    const [queue, group] = [merge.open(), merge.open()];
    group.take(batchOf(['g', 1]), 1);
    group.close();
    queue.take(batchOf(['a', 2]), 1);
    expect(heard).toBe('a');
    queue.take(batchOf(['b', 3]), 1);
    merge.close();
    pass(30);
    expect(heard).toBe('ab');
  });

  it('keep their order over any splitting into batches', () => {
    const merge = open();
    const both = [merge.open(), merge.open()];
    const names = 'abcdefghijklmnopqrstuvwxyz';
    for (const [index, name] of [...names].entries()) {
      both[index % 3 === 0 ? 1 : 0]?.take(batchOf([name, index + 1]), 1);
      if (index % 5 === 0) pass(1);
    }
    pass(12);
    expect(heard).toBe(names);
  });
});
