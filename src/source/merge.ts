import { guarded } from '../guard/guard.ts';
import type { Batch, OnBatch } from './source.ts';

/*
 * Each queue and group is in order by itself, but several are read one after the other: a datagram to a queue and
 * a SYN copied to a group, sent 0.1 ms apart, could be judged in the wrong order, and a right knock be a wrong one.
 * Here they wait for each other and are merged by the kernel's stamps.
 */

/** One source's way in. */
export interface Input {
  readonly take: OnBatch;
  /** What still waits in it is lost. Idempotent. */
  close(): void;
}

export interface Merge {
  open(): Input;
  close(): void;
}

/**
 * Milliseconds that a packet waits for older ones from an input that has nothing: the kernel gathers copies for 10 ms
 * at most where it is busy, and a reader gathers for 1 to 2.
 */
const WAIT = 12;
/** Packets that wait in one input; when it is full the older half goes on. */
const INPUT_PACKETS = 2048;
/** Bytes of a packet that are kept: as many as are copied of each. */
const PACKET_BYTES = 256;
/** Before every moment: nothing has waited too long yet. */
const NEVER = Number.NEGATIVE_INFINITY;
/** Packets handed on with one call. */
const HANDED_ON = 1024;

interface OpenInput extends Input {
  readonly bytes: Uint8Array;
  readonly lengths: Int32Array;
  /** What the kernel said; 0: nothing. */
  readonly stamps: Float64Array;
  /** What they are merged by: the stamp, or the wall clock where there is none. */
  readonly order: Float64Array;
  /** When they came in, on the monotonic clock. */
  readonly since: Float64Array;
  first: number;
  count: number;
}

/** A merger of what inputs hand over. A lone input is handed through as it is. */
export function createMerge(onBatch: OnBatch, now: () => number, wall: () => number): Merge {
  const inputs = new Set<OpenInput>();
  const out = {
    bytes: new Uint8Array(HANDED_ON * PACKET_BYTES),
    offsets: Int32Array.from({ length: HANDED_ON }, (_, index) => index * PACKET_BYTES),
    lengths: new Int32Array(HANDED_ON),
    stamps: new Float64Array(HANDED_ON),
  };
  let gathered = 0;
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Immediate | undefined;

  function open(): Input {
    const input: OpenInput = {
      bytes: new Uint8Array(INPUT_PACKETS * PACKET_BYTES),
      lengths: new Int32Array(INPUT_PACKETS),
      stamps: new Float64Array(INPUT_PACKETS),
      order: new Float64Array(INPUT_PACKETS),
      since: new Float64Array(INPUT_PACKETS),
      first: 0,
      count: 0,
      take: (batch, count) => take(input, batch, count),
      close() {
        input.count = 0;
        inputs.delete(input);
      },
    };
    inputs.add(input);
    return input;
  }

  function take(input: OpenInput, batch: Batch, count: number): void {
    if (inputs.size === 1 && input.count === 0) {
      onBatch(batch, count);
      return;
    }
    const at = now();
    const moment = wall();
    for (let index = 0; index < count; index += 1) {
      if (input.count === INPUT_PACKETS) release(NEVER, INPUT_PACKETS / 2);
      hold(input, batch, index, at, moment);
    }
    // Not those that have waited long: while everything stood still, the input that is read next may hold an older one.
    release(NEVER, INPUT_PACKETS);
    if (timer === undefined && soon === undefined) wait(at);
  }

  function hold(input: OpenInput, batch: Batch, index: number, at: number, moment: number): void {
    const slot = (input.first + input.count) % INPUT_PACKETS;
    const from = batch.offsets[index] ?? 0;
    const length = Math.min(batch.lengths[index] ?? 0, PACKET_BYTES);
    copy(batch.bytes, from, input.bytes, slot * PACKET_BYTES, length);
    const stamp = batch.stamps[index] ?? 0;
    input.lengths[slot] = length;
    input.stamps[slot] = stamp;
    input.order[slot] = stamp > 0 ? stamp : moment;
    input.since[slot] = at;
    input.count += 1;
  }

  /**
   * Hands on, in order, what no older packet can come before any more, what has waited long enough at that moment,
   * and what an input has beyond `most`.
   */
  function release(at: number, most: number): void {
    for (let input = oldest(); input !== undefined && isDue(at, most); input = oldest()) {
      const slot = input.first;
      copy(input.bytes, slot * PACKET_BYTES, out.bytes, gathered * PACKET_BYTES, input.lengths[slot] ?? 0);
      out.lengths[gathered] = input.lengths[slot] ?? 0;
      out.stamps[gathered] = input.stamps[slot] ?? 0;
      input.first = (slot + 1) % INPUT_PACKETS;
      input.count -= 1;
      gathered += 1;
      if (gathered === HANDED_ON) handOn();
    }
    handOn();
  }

  function oldest(): OpenInput | undefined {
    let found: OpenInput | undefined;
    let order = Number.POSITIVE_INFINITY;
    for (const input of inputs) {
      const head = input.count === 0 ? Number.POSITIVE_INFINITY : (input.order[input.first] ?? 0);
      if (head < order) {
        found = input;
        order = head;
      }
    }
    return found;
  }

  function isDue(at: number, most: number): boolean {
    let everyInputHasOne = true;
    for (const input of inputs) {
      // Anyone who came in so long ago takes those along that are older than itself.
      if (input.count > most || (input.count > 0 && at - (input.since[input.first] ?? 0) >= WAIT))
        return true;
      if (input.count === 0) everyInputHasOne = false;
    }
    return everyInputHasOne;
  }

  function handOn(): void {
    const count = gathered;
    gathered = 0;
    if (count > 0) onBatch(out, count);
  }

  function wait(at: number): void {
    timer = undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const input of inputs) if (input.count > 0) since = Math.min(since, input.since[input.first] ?? 0);
    if (since === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(
      guarded('packets', () => {
        timer = undefined;
        // Every input is read once more first: where the process stood still, all that it missed waits in the kernel.
        soon = setImmediate(
          guarded('packets', () => {
            soon = undefined;
            const later = now();
            release(later, INPUT_PACKETS);
            wait(later);
          }),
        );
      }),
      Math.max(0, since + WAIT - at),
    );
  }

  return {
    open,
    close() {
      clearTimeout(timer);
      clearImmediate(soon);
      timer = undefined;
      soon = undefined;
      for (const input of [...inputs]) input.close();
    },
  };
}

/** Byte by byte: packets are small, and a view would be made for each. */
function copy(from: Uint8Array, at: number, to: Uint8Array, into: number, length: number): void {
  for (let index = 0; index < length; index += 1) to[into + index] = from[at + index] ?? 0;
}
