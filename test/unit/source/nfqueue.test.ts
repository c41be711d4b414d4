import { NfQueue, type Stats } from '@nfknock/nfqueue';
import { describe, expect, test } from 'vitest';
import { type LiveHandle, liveSource } from '../../../src/source/live.ts';
import { openNflog } from '../../../src/source/nflog.ts';
import { openNfqueue } from '../../../src/source/nfqueue.ts';

const onBatch = (): void => undefined;
const onError = (): void => undefined;

describe('what no kernel could do is refused before anything is opened', () => {
  test.each([-1, 65_536, 1.5, Number.NaN])('queue number %s', (queue) => {
    expect(() => openNfqueue({ queue, length: () => 1024, onBatch, onError })).toThrow(
      new RangeError(`queue must be a whole number from 0 to 65535, not ${queue}`),
    );
  });

  test.each([-1, 65_536])('group number %s', (group) => {
    expect(() => openNflog({ group, onBatch, onError })).toThrow(
      new RangeError(`group must be a whole number from 0 to 65535, not ${group}`),
    );
  });

  test.each([
    [undefined, 'options must be an object, not undefined'],
    [{ queue: '7', onBatch, onError }, 'queue must be a number from 0 to 65535, not string'],
    [{ onBatch, onError }, 'queue must be a number from 0 to 65535, not undefined'],
    [{ queue: 7, onError }, 'onBatch must be a function, not undefined'],
    [{ queue: 7, onBatch }, 'onError must be a function, not undefined'],
    [
      { queue: 7, onBatch, onError, copyRange: null },
      'copyRange must be a number from 64 to 65535, not null',
    ],
    [
      { queue: 7, onBatch, onError, copyRange: 0 },
      'copyRange must be a whole number from 64 to 65535, not 0',
    ],
    [
      { queue: 7, onBatch, onError, receiveBuffer: 1 },
      'receiveBuffer must be a whole number from 4096 to 1073741824, not 1',
    ],
    [{ queue: 7, onBatch, onError, maxLength: 0 }, 'maxLength must be a whole number from 1 to 65535, not 0'],
  ])('options %o', (options, message) => {
    expect(() => Reflect.construct(NfQueue, [options])).toThrow(message);
  });
});

describe('the health of a source', () => {
  const stats: Stats = {
    packets: 7,
    batches: 3,
    depth: 2,
    kernelDropped: 1,
    userDropped: 0,
    errors: 0,
    overruns: 0,
    complete: true,
  };

  test('is what the kernel says while it is open, and the last counts with nothing waiting once it is closed', () => {
    const handle = openHandle(stats);
    const source = liveSource(handle);
    expect(source.health()).toEqual(stats);
    source.close();
    expect(source.health()).toEqual({ ...stats, depth: 0 });
  });

  test('is kept as it was last known where the queue died', () => {
    const handle = openHandle(stats);
    const source = liveSource(handle);
    source.health();
    handle.close();
    expect(source.health()).toEqual({ ...stats, depth: 0 });
  });

  test('is all zero where nothing was ever known', () => {
    const handle = openHandle(stats);
    const source = liveSource(handle);
    handle.close();
    expect(source.health()).toMatchObject({ packets: 0, depth: 0 });
  });

  test('outlives closing twice and Symbol.dispose', () => {
    const source = liveSource(openHandle(stats));
    source.close();
    source[Symbol.dispose]();
    source.close();
    expect(source.health().packets).toBe(7);
  });
});

/** What a queue promises, without a kernel: counts while open, none once closed. */
function openHandle(stats: Stats): LiveHandle {
  let closed = false;
  return {
    get closed() {
      return closed;
    },
    stats: () => {
      if (closed) throw new Error('closed');
      return stats;
    },
    close: () => {
      closed = true;
    },
  };
}
