import { type Clock, createClock } from '../../src/clock.ts';

/** The program's own clock over readings that move when the test says so. */
export interface TestClock extends Clock {
  /** Time passes, in milliseconds. */
  pass(ms: number): void;
  /** Someone sets the wall clock. */
  setWall(to: number): void;
  /** The machine is suspended for so long. */
  sleep(ms: number): void;
}

/** 21 November 2025: any moment would do. */
export const NOW = 1_763_700_000_000;
const AWAKE = 5_000;

export function testClock(wall: number = NOW): TestClock {
  let awake = AWAKE;
  let ahead = wall - AWAKE;
  let asleep = 0;
  const clock = createClock(
    () => awake,
    () => awake + ahead,
    () => awake + asleep,
  );
  return {
    ...clock,
    pass(ms) {
      awake += ms;
    },
    setWall(to) {
      ahead = to - awake;
    },
    sleep(ms) {
      asleep += ms;
      ahead += ms;
    },
  };
}
