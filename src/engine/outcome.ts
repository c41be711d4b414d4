/**
 * What became of a packet; every packet is dropped whatever the outcome. The names are the counters' labels;
 * the last four are of packets that a key proves, which are not judged as knocks.
 */
export const OUTCOMES = [
  'malformed',
  'banned',
  'retransmission',
  'backscatter',
  'ignored',
  'scan',
  'rate',
  'accepted',
  'opened',
  'closed',
  'repeat',
  'tolerated',
  'expired',
  'too_fast',
  'wrong',
  'decoy',
  'elsewhere',
  'proven',
  'stale',
  'replayed',
  'refused',
] as const;

export type Outcome = (typeof OUTCOMES)[number];
