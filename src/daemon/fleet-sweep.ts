import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Ban } from '../engine/ban.ts';
import type { Engine } from '../engine/engine.ts';
import type { Cidr } from '../packet/cidr.ts';

/** Bans that are lifted in one turn of the event loop, and that are looked at. */
const LIFTED_AT_ONCE = 128;
const LOOKED_AT_ONCE = 2_048;
/** How long what others said waits where the kernel has too much to do, in milliseconds. */
const FULL_PAUSE = 20;

export interface SweepOptions {
  readonly engine: Pick<Engine, 'eachBan'>;
  readonly isFull: () => boolean;
  readonly isStopped: () => boolean;
}

/** Goes through all bans in pieces: packets come in between. */
export interface Sweep {
  /** Has those lifted that are over by then; answers how many. Bans that are made meanwhile are seen or not. */
  lift(isOver: (ban: Ban) => boolean, lift: (targets: readonly Cidr[]) => void): Promise<number>;
  /** Waits until the kernel has room. */
  room(): Promise<void>;
}

export function createSweep({ engine, isFull, isStopped }: SweepOptions): Sweep {
  async function room(): Promise<void> {
    while (isFull() && !isStopped()) await sleep(FULL_PAUSE);
  }

  return {
    room,
    async lift(isOver, lift) {
      let [looked, lifted] = [0, 0];
      let targets: Cidr[] = [];
      const end = (): void => {
        if (targets.length > 0) lift(targets);
        lifted += targets.length;
        targets = [];
      };
      for (const ban of engine.eachBan()) {
        looked += 1;
        if (isOver(ban)) targets.push(ban.target);
        if (targets.length < LIFTED_AT_ONCE && looked % LOOKED_AT_ONCE !== 0) continue;
        // In the turn in which they were looked at.
        end();
        await nextTurn();
        await room();
        if (isStopped()) return lifted;
      }
      end();
      return lifted;
    },
  };
}
