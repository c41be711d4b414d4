import type { Dependencies } from '../../src/daemon/dependencies.ts';
import type { Config } from '../../src/policy/config.ts';
import type { Batch, OnBatch, Source, SourceHealth } from '../../src/source/source.ts';

/** As many bytes as the kernel copies of a packet, and as many packets as it hands over at once. */
const SLOT = 512;
const BATCH = 128;

/** A source that hands over what the test sends. As a real one it lends the same memory again and again. */
export interface MemorySource extends Source {
  /** A batch: IP packets, stamped with the moment in wall time, or not at all. */
  send(packets: readonly Uint8Array[], stamp?: number): void;
}

export function memorySource(onBatch: OnBatch): MemorySource {
  const batch: Batch = {
    bytes: new Uint8Array(SLOT * BATCH),
    offsets: Int32Array.from({ length: BATCH }, (_, index) => index * SLOT),
    lengths: new Int32Array(BATCH),
    stamps: new Float64Array(BATCH),
  };
  let packets = 0;
  let batches = 0;
  let closed = false;
  const close = (): void => {
    closed = true;
  };
  return {
    send(given, stamp = 0) {
      for (let from = 0; from < given.length && !closed; from += BATCH) {
        const some = given.slice(from, from + BATCH);
        for (const [index, packet] of some.entries()) {
          const bytes = packet.subarray(0, SLOT);
          batch.bytes.set(bytes, index * SLOT);
          batch.lengths[index] = bytes.length;
          batch.stamps[index] = stamp;
        }
        packets += some.length;
        batches += 1;
        onBatch(batch, some.length);
        batch.bytes.fill(0xee);
      }
    },
    health: (): SourceHealth => ({
      ...{ packets, batches, depth: 0, complete: true },
      ...{ kernelDropped: 0, userDropped: 0, errors: 0, overruns: 0 },
    }),
    close,
    [Symbol.dispose]: close,
  };
}

/** Every source of a daemon in memory is one; another configuration may be refused. */
export interface MemorySources {
  readonly open: Dependencies['openSources'];
  send(packets: readonly Uint8Array[], stamp?: number): void;
  /** Packets by the queue of keys. */
  sendToKeys(packets: readonly Uint8Array[]): void;
  refuse(error: Error | undefined): void;
  /** What became of the configurations that were prepared, in their order. */
  readonly prepared: ('commit' | 'rollback' | 'open')[];
}

export function memorySources(): MemorySources {
  const prepared: MemorySources['prepared'] = [];
  let source: MemorySource | undefined;
  let forKeys: MemorySource | undefined;
  let refusal: Error | undefined;
  return {
    prepared,
    open: async (_config: Config, takers) => {
      const opened = memorySource(takers.onBatch);
      source = opened;
      forKeys = memorySource(takers.onKeys);
      return {
        health: () => [opened.health()],
        adapt: () => undefined,
        async prepare() {
          if (refusal !== undefined) throw refusal;
          const index = prepared.push('open') - 1;
          return {
            commit() {
              prepared[index] = 'commit';
            },
            rollback() {
              prepared[index] = 'rollback';
            },
          };
        },
        close: opened.close,
      };
    },
    send(packets, stamp) {
      source?.send(packets, stamp);
    },
    sendToKeys: (packets) => forKeys?.send(packets),
    refuse(error) {
      refusal = error;
    },
  };
}
