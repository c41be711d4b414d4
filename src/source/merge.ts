import { guarded } from '../guard/guard.ts';
import type { Batch, OnBatch } from './source.ts';

/*
 * Each queue and group is in order by itself, but several are read one after the other: a datagram to a queue and
 * a SYN copied to a group, sent 0.1 ms apart, could be judged in the wrong order, and a right knock be a wrong one.
 * Here they wait for each other and are merged by the kernel's stamps.
 */

/** One source's way in. */
export interface Lane {
  readonly take: OnBatch;
  /** What still waits in it is lost. Idempotent. */
  close(): void;
}

export interface Lanes {
  open(): Lane;
  close(): void;
}

/**
 * Milliseconds that a packet waits for older ones from a lane that has nothing: the kernel gathers copies for 10 ms
 * at most where it is busy, and a reader gathers for 1 to 2.
 */
const WAIT = 12;
/** Packets that wait in one lane; when it is full the older half goes on. */
const LANE_PACKETS = 2048;
/** Bytes of a packet that are kept: as many as are copied of each. */
const PACKET_BYTES = 256;
/** Before every moment: nothing has waited too long yet. */
const NEVER = Number.NEGATIVE_INFINITY;
/** Packets handed on with one call. */
const HANDED_ON = 1024;

interface Held extends Lane {
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

/** A merger of what lanes hand over. A lone lane is handed through as it is. */
export function createLanes(onBatch: OnBatch, now: () => number, wall: () => number): Lanes {
  const lanes = new Set<Held>();
  const out = {
    bytes: new Uint8Array(HANDED_ON * PACKET_BYTES),
    offsets: Int32Array.from({ length: HANDED_ON }, (_, index) => index * PACKET_BYTES),
    lengths: new Int32Array(HANDED_ON),
    stamps: new Float64Array(HANDED_ON),
  };
  let gathered = 0;
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Immediate | undefined;

  function open(): Lane {
    const lane: Held = {
      bytes: new Uint8Array(LANE_PACKETS * PACKET_BYTES),
      lengths: new Int32Array(LANE_PACKETS),
      stamps: new Float64Array(LANE_PACKETS),
      order: new Float64Array(LANE_PACKETS),
      since: new Float64Array(LANE_PACKETS),
      first: 0,
      count: 0,
      take: (batch, count) => take(lane, batch, count),
      close() {
        lane.count = 0;
        lanes.delete(lane);
      },
    };
    lanes.add(lane);
    return lane;
  }

  function take(lane: Held, batch: Batch, count: number): void {
    if (lanes.size === 1 && lane.count === 0) {
      onBatch(batch, count);
      return;
    }
    const at = now();
    const moment = wall();
    for (let index = 0; index < count; index += 1) {
      if (lane.count === LANE_PACKETS) release(NEVER, LANE_PACKETS / 2);
      hold(lane, batch, index, at, moment);
    }
    // Not those that have waited long: while everything stood still, the lane that is read next may hold an older one.
    release(NEVER, LANE_PACKETS);
    if (timer === undefined && soon === undefined) wait(at);
  }

  function hold(lane: Held, batch: Batch, index: number, at: number, moment: number): void {
    const slot = (lane.first + lane.count) % LANE_PACKETS;
    const from = batch.offsets[index] ?? 0;
    const length = Math.min(batch.lengths[index] ?? 0, PACKET_BYTES);
    copy(batch.bytes, from, lane.bytes, slot * PACKET_BYTES, length);
    const stamp = batch.stamps[index] ?? 0;
    lane.lengths[slot] = length;
    lane.stamps[slot] = stamp;
    lane.order[slot] = stamp > 0 ? stamp : moment;
    lane.since[slot] = at;
    lane.count += 1;
  }

  /**
   * Hands on, in order, what no older packet can come before any more, what has waited long enough at that moment,
   * and what a lane has beyond `most`.
   */
  function release(at: number, most: number): void {
    for (let lane = oldest(); lane !== undefined && isDue(at, most); lane = oldest()) {
      const slot = lane.first;
      copy(lane.bytes, slot * PACKET_BYTES, out.bytes, gathered * PACKET_BYTES, lane.lengths[slot] ?? 0);
      out.lengths[gathered] = lane.lengths[slot] ?? 0;
      out.stamps[gathered] = lane.stamps[slot] ?? 0;
      lane.first = (slot + 1) % LANE_PACKETS;
      lane.count -= 1;
      gathered += 1;
      if (gathered === HANDED_ON) handOn();
    }
    handOn();
  }

  function oldest(): Held | undefined {
    let found: Held | undefined;
    let order = Number.POSITIVE_INFINITY;
    for (const lane of lanes) {
      const head = lane.count === 0 ? Number.POSITIVE_INFINITY : (lane.order[lane.first] ?? 0);
      if (head < order) {
        found = lane;
        order = head;
      }
    }
    return found;
  }

  function isDue(at: number, most: number): boolean {
    let everyLaneHasOne = true;
    for (const lane of lanes) {
      // Whoever came in so long ago takes those along that are older than itself.
      if (lane.count > most || (lane.count > 0 && at - (lane.since[lane.first] ?? 0) >= WAIT)) return true;
      if (lane.count === 0) everyLaneHasOne = false;
    }
    return everyLaneHasOne;
  }

  function handOn(): void {
    const count = gathered;
    gathered = 0;
    if (count > 0) onBatch(out, count);
  }

  function wait(at: number): void {
    timer = undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const lane of lanes) if (lane.count > 0) since = Math.min(since, lane.since[lane.first] ?? 0);
    if (since === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(
      guarded('packets', () => {
        timer = undefined;
        // Every lane is read once more first: where the process stood still, all that it missed waits in the kernel.
        soon = setImmediate(
          guarded('packets', () => {
            soon = undefined;
            const later = now();
            release(later, LANE_PACKETS);
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
      for (const lane of [...lanes]) lane.close();
    },
  };
}

/** Byte by byte: packets are small, and a view would be made for each. */
function copy(from: Uint8Array, at: number, to: Uint8Array, into: number, length: number): void {
  for (let index = 0; index < length; index += 1) to[into + index] = from[at + index] ?? 0;
}
