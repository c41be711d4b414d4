import { systemClock } from '../clock.ts';
import { systemTrust } from '../machine/clock-trust.ts';
import { findStoodDown, type Here, hereAt, type StoodDown } from '../rollback/stood-down.ts';

/** This machine at this moment, as a stand-down is measured by it. */
export function here(): Here {
  return hereAt(systemClock.wall(), systemTrust);
}

/** The stand-down that holds now, if any. */
export function stoodDownNow(): StoodDown | undefined {
  return findStoodDown(here());
}
