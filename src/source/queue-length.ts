import { readFileSync } from 'node:fs';

/** The most that a queue can be told to hold. */
const LENGTH_MAX = 65_535;
/** One entry in this many of conntrack's table may stand for a packet that waits for us. Our choice. */
const SHARE = 4;
const CONNTRACK_MAX = '/proc/sys/net/netfilter/nf_conntrack_max';

/**
 * How many packets each of this many queues may hold. A packet that waits has an entry in conntrack's table: while the
 * daemon stands still, queues as long as the table would keep the whole machine from making connections.
 */
export function queueLength(queues: number): number {
  return lengthFor(conntrackMax(), queues);
}

/** `table` is the most entries that conntrack takes; 0: no limit, or no conntrack. */
export function lengthFor(table: number, queues: number): number {
  if (table <= 0) return LENGTH_MAX;
  return Math.min(LENGTH_MAX, Math.max(1, Math.floor(table / SHARE / queues)));
}

function conntrackMax(): number {
  try {
    const max = Number(readFileSync(CONNTRACK_MAX, 'latin1').trim());
    return Number.isSafeInteger(max) ? max : 0;
  } catch {
    return 0;
  }
}
