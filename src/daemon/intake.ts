import { type Clock, createStamps } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import { OUTCOMES, type Outcome } from '../engine/outcome.ts';
import { decode } from '../packet/decode.ts';
import { emptyPacket } from '../packet/packet.ts';
import type { Batch, OnBatch } from '../source/source.ts';
import type { Recall } from './packet-history.ts';

export interface IntakeOptions {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly recall: Recall;
  readonly emit: Emit;
  /** After each batch: its size, and milliseconds from its last packet's arrival to now (NaN: no stamp). */
  readonly after: (count: number, lag: number) => void;
  /** Whether what was judged before must be settled first. */
  readonly isFull: () => boolean;
}

/** Takes batches from the queue, decodes and judges. Nothing here can let a packet in: the kernel has its DROP. */
export interface Intake {
  readonly onBatch: OnBatch;
  /** Packets since the start, by what became of them. */
  counts(): Readonly<Record<Outcome, number>>;
  /** Packets since the start that were left unjudged since what was judged before was not settled. */
  shed(): number;
}

export function createIntake(options: IntakeOptions): Intake {
  const { clock, engine, recall, emit, after, isFull } = options;
  const packet = emptyPacket();
  const stamps = createStamps(clock);
  const counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;

  let shed = 0;

  function onBatch(batch: Batch, count: number): void {
    if (isFull()) {
      shed += count;
      return;
    }
    stamps.begin();
    const { bytes, offsets, lengths } = batch;
    let lag = Number.NaN;
    for (let index = 0; index < count; index += 1) {
      const at = stamps.at(batch.stamps[index] ?? 0);
      const wrong = decode(bytes, offsets[index] ?? 0, lengths[index] ?? 0, packet);
      if (wrong !== null) {
        counts[engine.malformed(wrong, at, emit)] += 1;
        continue;
      }
      packet.stamped = stamps.stamped;
      const outcome = engine.judge(packet, at, emit);
      counts[outcome] += 1;
      recall.record(packet, outcome, at);
      if (index === count - 1 && packet.stamped) lag = clock.now() - at;
    }
    after(count, lag);
  }

  return { onBatch, counts: () => counts, shed: () => shed };
}
