import { uptime } from 'node:os';
import { type Milliseconds, milliseconds } from './packet/time.ts';

/** The only reader of time. */
export interface Clock {
  /** The monotonic clock, in milliseconds; it never steps back and knows nothing of the date. */
  now(): Milliseconds;
  /** The wall clock: milliseconds since 1970. */
  wall(): number;
  /** A moment of the monotonic clock as wall time, by the wall clock as it stands now. */
  wallOf(at: Milliseconds): number;
  /** A moment of wall time on the monotonic clock. */
  atWall(wall: number): Milliseconds;
  /**
   * To be asked once a second, with the milliseconds by which the wall clock was ahead of this one since: true where the
   * machine slept (suspend to memory or disk) as long. `now` is moved on as far then: what was to end has ended.
   */
  slept(by: number): boolean;
}

/** A wall clock that moves by more than this between two looks was set, not slewed. In milliseconds. */
const STEP_MIN = 250;
/** The kernel slews its wall clock by at most this share of the time that passes (adjtimex: 500 ppm). */
const SLEW_MAX = 0.0005;
/** What the kernel counts of a sleep may differ from what the wall clock says by so much, in milliseconds. */
const SLEEP_DIFFERENCE_MAX = 2000;
/** A stamp older than this tells of a clock that was set, not of a packet that waited. In milliseconds. */
const STAMP_AGE_MAX = 60_000;

export const systemClock: Clock = createClock(
  () => performance.now(),
  () => Date.now(),
  () => uptime() * 1000,
);

/**
 * A clock over Linux's CLOCK_MONOTONIC, which stands still while the machine sleeps, a wall clock that tells whole
 * milliseconds, and CLOCK_BOOTTIME, which counts sleep too.
 */
export function createClock(awake: () => number, wall: () => number, boot: () => number): Clock {
  /** All that the machine has slept since the start, as far as it was noticed. */
  let asleep = 0;
  let counted = boot() - awake();
  const monotonic = (): number => awake() + asleep;
  let last = monotonic();
  let offset = wall() - last;

  /**
   * How far the wall clock is ahead of the monotonic one. What it tells is cut to whole milliseconds, so the
   * greatest of many looks is nearest to the truth; by a single look two packets could seem to have changed places. The
   * wall clock is read first: where this program is kept from running between the two, that too makes a look smaller.
   */
  function ahead(): number {
    const told = wall();
    const now = monotonic();
    const fresh = told - now;
    const stepped = Math.abs(fresh - offset) >= STEP_MIN;
    offset = stepped ? fresh : Math.max(fresh, offset - (now - last) * SLEW_MAX);
    last = now;
    return offset;
  }

  return {
    now: () => milliseconds(monotonic()),
    wall,
    wallOf: (at) => at + ahead(),
    atWall: (moment) => milliseconds(moment - ahead()),
    slept(by) {
      const more = boot() - awake() - counted;
      counted += more;
      // Both must say so: either alone may have been set.
      if (by < SLEEP_DIFFERENCE_MAX || Math.abs(more - by) > SLEEP_DIFFERENCE_MAX) return false;
      asleep += more;
      return true;
    },
  };
}

/** The kernel's stamps are wall time; this carries them onto the monotonic clock. */
export interface Stamps {
  /** To be called before each batch: notices a wall clock that was set since the last one. */
  begin(): void;
  /** The packet's moment, or now where it has no stamp that can be believed; `stamped` tells which. */
  at(stamp: number): Milliseconds;
  readonly stamped: boolean;
}

export function createStamps(clock: Clock): Stamps {
  let raw = clock.wall() - clock.now();
  let offset = 0;
  let now = clock.now();
  let believed = true;
  let stamped = false;

  return {
    begin() {
      now = clock.now();
      const fresh = clock.wall() - now;
      // Packets that were stamped before the clock was set lie about how long they waited.
      believed = Math.abs(fresh - raw) < STEP_MIN;
      raw = fresh;
      offset = clock.wallOf(now) - now;
    },
    at(stamp) {
      const moment = stamp - offset;
      stamped = stamp > 0 && believed && moment <= now + 1 && moment >= now - STAMP_AGE_MAX;
      return milliseconds(stamped ? Math.min(moment, now) : now);
    },
    get stamped() {
      return stamped;
    },
  };
}

/** Calls back when the wall clock was set, with the milliseconds by which it moved, and when the machine has slept. */
export function watchWallClock(
  clock: Clock,
  moved: (by: number) => void,
  slept: () => void,
): { look(): void } {
  let offset = clock.wall() - clock.now();
  return {
    look() {
      const fresh = clock.wall() - clock.now();
      const by = fresh - offset;
      offset = fresh;
      if (clock.slept(by)) {
        offset = clock.wall() - clock.now();
        slept();
      } else if (Math.abs(by) >= STEP_MIN) moved(by);
    },
  };
}
