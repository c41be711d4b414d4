import { setTimeout as sleep } from 'node:timers/promises';
import { cutConnections } from '../netlink/conntrack.ts';
import type { NetfilterSocket } from '../netlink/socket.ts';
import { type ApplyQueue, applyQueue } from './apply-queue.ts';

/** After a reading of conntrack's table for what is to be cut it is left alone: three times as long, at most 5 s. */
const REST = 3;
const REST_MS_MAX = 5000;

/** Of what is to be cut while the table is read the rest goes together in the next reading. `now` is wall time, ms. */
export function openCuts(connections: NetfilterSocket, now: () => number): ApplyQueue {
  let rested = Promise.resolve();
  return applyQueue(async (changes) => {
    await rested;
    const begun = now();
    await cutConnections(
      connections,
      changes.flatMap((change) => (change.change === 'cut' ? [change.target] : [])),
    );
    // A flood of bans must not be one long reading of the table.
    rested = sleep(Math.min(REST_MS_MAX, REST * Math.max(0, now() - begun)), undefined, {
      ref: false,
    });
  });
}
