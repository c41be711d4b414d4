/** What became of a packet; every packet is dropped whatever the outcome. The names are the counters' labels. */
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
] as const;

export type Outcome = (typeof OUTCOMES)[number];
