import type { Address } from '../packet/address.ts';
import type { Milliseconds } from '../packet/time.ts';
import { type Bucket, createBucket } from './bucket.ts';
import { sourceNetwork } from './source-network.ts';

/*
 * What strangers may cost. A forged packet that has the form of one costs an HMAC for each key of fwknop, since it names
 * none: without a limit, packets that anybody can make stop the daemon. A limit alone would only share the loss between
 * forgers and owners; so a part is kept for sources that have authenticated before.
 */

/** MACs a second: about a tenth of a core. */
export const MACS_A_SECOND = 40_000;
/** Proofs a second: as much again, were all of them of Ed25519 (104 µs). Only who has the realm can ask for any. */
export const PROOFS_A_SECOND = 1_000;
/** Proofs a second of one key, since who has the realm can name any key. */
export const PROOFS_OF_A_KEY_A_SECOND = 20;
/** What is kept of each for known sources. */
const RESERVED_SHARE = 1 / 4;
/** Known sources; one more, and the one that has not authenticated for longest goes. */
export const KNOWN_SOURCES_MAX = 4_096;
/** Packets a second of one known source from what is kept: its address can be forged as well. */
export const KNOWN_SOURCE_A_SECOND = 20;

export interface Budget {
  /** Whether a packet of this source may cost so many MACs; if so they are spent. */
  macs(source: Address, count: number, now: Milliseconds): boolean;
  /** Whether a packet of this source may cost a proof of this key; if so it is spent. */
  proof(source: Address, key: string, now: Milliseconds): boolean;
  /** A packet of this source was proven. */
  remember(source: Address): void;
  /** Packets that were refused for want of budget since the last call. */
  overload(): number;
  /** MACs that were computed, in all. */
  spent(): number;
}

/** One bucket for everybody, and one for known sources besides. */
interface Divided {
  readonly open: Bucket;
  readonly kept: Bucket;
}

/** `keys`: the names of those that may be asked for; the budget holds a bucket for each, and for no others. */
export function createBudget(keys: readonly string[]): Budget {
  const known = new Map<string, Bucket>();
  const macs = divided(MACS_A_SECOND);
  const proofs = divided(PROOFS_A_SECOND);
  const ofKeys = new Map(keys.map((name) => [name, divided(PROOFS_OF_A_KEY_A_SECOND)]));
  let refused = 0;
  let spent = 0;

  /** Whether the source is a known one that has not sent more than one source may. */
  function favoured(source: Address, now: Milliseconds): boolean {
    return known.get(sourceNetwork(source))?.take(1, now) ?? false;
  }

  function counted(granted: boolean): boolean {
    if (!granted) refused += 1;
    return granted;
  }

  return {
    macs(source, count, now) {
      const granted = macs.open.take(count, now) || (favoured(source, now) && macs.kept.take(count, now));
      if (granted) spent += count;
      return counted(granted);
    },
    proof(source, key, now) {
      const own = ofKeys.get(key);
      if (own === undefined) return counted(false);
      const open = own.open.take(1, now) && proofs.open.take(1, now);
      return counted(open || (favoured(source, now) && own.kept.take(1, now) && proofs.kept.take(1, now)));
    },
    remember(source) {
      const name = sourceNetwork(source);
      const bucket = known.get(name) ?? createBucket(KNOWN_SOURCE_A_SECOND);
      known.delete(name);
      known.set(name, bucket);
      if (known.size <= KNOWN_SOURCES_MAX) return;
      for (const oldest of known.keys()) {
        known.delete(oldest);
        return;
      }
    },
    spent: () => spent,
    overload() {
      const count = refused;
      refused = 0;
      return count;
    },
  };
}

function divided(perSecond: number): Divided {
  const kept = perSecond * RESERVED_SHARE;
  return { open: createBucket(perSecond - kept), kept: createBucket(kept) };
}
