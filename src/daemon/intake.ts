import { type Clock, createStamps } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import { OUTCOMES, type Outcome } from '../engine/outcome.ts';
import { fault } from '../guard/guard.ts';
import { decode } from '../packet/decode.ts';
import { emptyPacket, type Packet } from '../packet/packet.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Batch, OnBatch } from '../source/source.ts';
import type { PacketHistory } from './packet-history.ts';

export interface IntakeOptions {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly history: PacketHistory;
  readonly emit: Emit;
  /** After each batch: its size, and milliseconds from its last packet's arrival to now (NaN: no stamp). */
  readonly after: (count: number, lag: number) => void;
  /** Whether what was judged before must be settled first. */
  readonly isFull: () => boolean;
  /** Whether a key proves a packet to the ports of keys: what becomes of it is said with `settle`. */
  readonly prove: (packet: Packet, at: Milliseconds) => boolean;
  /** A fleet whose members tell each other of knocks; answers what has become of the packet. */
  readonly share: (packet: Packet, outcome: Outcome, at: Milliseconds) => Outcome;
}

type JudgeOne = (batch: Batch, index: number) => void;

/** Takes batches from the queue, decodes and judges. Nothing here can let a packet in: the kernel has its DROP. */
export interface Intake {
  readonly onBatch: OnBatch;
  /** The same of packets to the ports of keys: those that no key proves are judged as if there were no keys. */
  readonly onKeys: OnBatch;
  /** What has become of a packet that a key proved. */
  settle(packet: Packet, outcome: Outcome, at: Milliseconds): void;
  /** Packets since the start, by what became of them. */
  counts(): Readonly<Record<Outcome, number>>;
  /** Packets since the start that were left unjudged since what was judged before was not settled. */
  shed(): number;
}

export function createIntake(options: IntakeOptions): Intake {
  const { clock, engine, history, emit, after, isFull, prove, share } = options;
  const packet = emptyPacket();
  const stamps = createStamps(clock);
  const counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;

  let shed = 0;
  /** Of the last packet judged. */
  let lag = Number.NaN;

  function taken(batch: Batch, count: number, judgeOne: JudgeOne): void {
    if (isFull()) {
      shed += count;
      return;
    }
    stamps.begin();
    lag = Number.NaN;
    for (let index = 0; index < count; ) index = judgeFrom(index, batch, count, judgeOne);
    after(count, lag);
  }

  /** Judges from this packet on; answers with where to go on. One that fails costs none of the others. */
  function judgeFrom(first: number, batch: Batch, count: number, judgeOne: JudgeOne): number {
    let index = first;
    try {
      for (; index < count; index += 1) judgeOne(batch, index);
    } catch (error) {
      fault('packets', error);
      index += 1;
    }
    return index;
  }

  function settle(of: Packet, outcome: Outcome, at: Milliseconds): void {
    counts[outcome] += 1;
    history.record(of, outcome, at);
  }

  /** By the moment at which it is read: how long a packet of a key has waited matters to nobody. */
  function judgeKey({ bytes, offsets, lengths }: Batch, index: number): void {
    const at = clock.now();
    const wrong = decode(bytes, offsets[index] ?? 0, lengths[index] ?? 0, packet);
    if (wrong !== null) {
      counts[engine.malformed(wrong, at, emit)] += 1;
      return;
    }
    packet.stamped = false;
    if (prove(packet, at)) return;
    // Were there no keys, a port that is nothing else would not be shown to us: not even its packets may be counted.
    const isSeen = engine.isWatched(packet.protocol, packet.port);
    settle(packet, isSeen ? share(packet, engine.judge(packet, at, emit), at) : 'ignored', at);
  }

  function judgeKnock({ bytes, offsets, lengths, stamps: stamped }: Batch, index: number): void {
    const at = stamps.at(stamped[index] ?? 0);
    const wrong = decode(bytes, offsets[index] ?? 0, lengths[index] ?? 0, packet);
    if (wrong !== null) {
      counts[engine.malformed(wrong, at, emit)] += 1;
      return;
    }
    packet.stamped = stamps.stamped;
    settle(packet, share(packet, engine.judge(packet, at, emit), at), at);
    lag = packet.stamped ? clock.now() - at : Number.NaN;
  }

  return {
    onBatch: (batch, count) => taken(batch, count, judgeKnock),
    onKeys: (batch, count) => taken(batch, count, judgeKey),
    settle,
    counts: () => counts,
    shed: () => shed,
  };
}
