import { SECOND } from '../packet/time.ts';
import type { UseChange } from '../policy/key-use.ts';
import type { Claim, ClaimTime, PacketUse, Use, UsedOnce } from './used-once.ts';

/** Packets of one key that are remembered at once: an accepted one is, for twice the permitted distance of clocks. */
export const SEEN_OF_A_KEY_MAX = 1_024;
/** The same where a packet does not say when it was made, so that it must be remembered for ever. */
export const UNDATED_OF_A_KEY_MAX = 16_384;
/** Packets of all keys. */
export const SEEN_MAX = 65_536;

/** What the state file remembers. */
export interface RestoredUses {
  readonly seen: readonly Omit<PacketUse, 'use'>[];
  readonly floors: ReadonlyMap<string, number>;
  /** The floor of every key that has none of its own: the start, where the state was lost. */
  readonly floor: number;
}

/** This machine's own memory of what was used. */
export interface Seen extends UsedOnce {
  /** As `claim`, at once. */
  decide(use: Use, time: ClaimTime): Claim;
  /** Takes in what turns out to have been used before. */
  absorb(old: Pick<RestoredUses, 'seen' | 'floors'>): void;
  /** Packets that are remembered now. */
  count(): number;
}

interface OfKey {
  /** When each was made, by its id. */
  readonly packets: Map<string, number | null>;
  floor: number;
}

export const NOTHING_RESTORED: RestoredUses = {
  seen: [],
  floors: new Map(),
  floor: Number.NEGATIVE_INFINITY,
};

/**
 * Whether a packet was made before the start, by its sender's clock. fwknop's clients and a shell's know whole seconds: what
 * they make in the second of the start may be from after it, and an owner who knocks at once must get in.
 */
function isBefore(stamp: number, start: number): boolean {
  return stamp % SECOND === 0 ? stamp < Math.floor(start / SECOND) * SECOND : stamp <= start;
}

/** `start`: the floor of every key where what was used before may not be known; asked anew, since clocks are set. */
export function createSeen(
  restored: RestoredUses = NOTHING_RESTORED,
  start: () => number = () => Number.NEGATIVE_INFINITY,
): Seen {
  const keys = new Map<string, OfKey>();
  /** Whom each packet came from, by its id, whatever its key was called: it may be renamed. */
  const sources = new Map<string, string>();
  let count = 0;

  absorb(restored);

  function absorb({ seen, floors }: Pick<RestoredUses, 'seen' | 'floors'>): void {
    for (const [key, floor] of floors) ofKey(key).floor = Math.max(floor, ofKey(key).floor);
    for (const { key, id, stamp, source } of seen) {
      if (!ofKey(key).packets.has(id)) put(ofKey(key), { id, stamp, source });
    }
  }

  function ofKey(key: string): OfKey {
    const there = keys.get(key);
    if (there !== undefined) return there;
    const made: OfKey = { packets: new Map(), floor: restored.floor };
    keys.set(key, made);
    return made;
  }

  function put(own: OfKey, { id, stamp, source }: Pick<PacketUse, 'id' | 'stamp' | 'source'>): void {
    own.packets.set(id, stamp);
    sources.set(id, source);
    count += 1;
  }

  function drop(own: OfKey, id: string): void {
    own.packets.delete(id);
    sources.delete(id);
    count -= 1;
  }

  /**
   * Lets go what is too old to be believed, and raises the floor to it. The floor follows packets, not our clock: a
   * clock that was wrong for a while locks nobody out, and one that is set back makes no used packet good again.
   */
  function letGo(own: OfKey, { wall, skew }: ClaimTime): boolean {
    const before = own.floor;
    for (const [id, stamp] of own.packets) {
      if (stamp === null || wall <= stamp + skew) continue;
      drop(own, id);
      own.floor = Math.max(own.floor, stamp);
    }
    return own.floor > before;
  }

  function hasRoom(own: OfKey, stamp: number | null, time: ClaimTime): boolean {
    const most = stamp === null ? UNDATED_OF_A_KEY_MAX : SEEN_OF_A_KEY_MAX;
    if (own.packets.size >= most) return false;
    if (count >= SEEN_MAX) for (const other of keys.values()) letGo(other, time);
    return count < SEEN_MAX;
  }

  function decidePacket({ key, id, stamp, source }: PacketUse, time: ClaimTime): Claim {
    const own = ofKey(key);
    const by = sources.get(id);
    if (by !== undefined) return { outcome: 'used', by };
    if (stamp !== null && (stamp <= own.floor || isBefore(stamp, start()))) return { outcome: 'old' };
    const raised = letGo(own, time);
    if (!hasRoom(own, stamp, time)) return { outcome: 'full' };
    put(own, { id, stamp, source });
    const changes: UseChange[] = [{ change: 'seen', key, id, stamp, source }];
    if (raised) changes.push({ change: 'floor', key, stamp: own.floor });
    return { outcome: 'won', changes };
  }

  function decide(use: Use, time: ClaimTime): Claim {
    if (use.use === 'packet') return decidePacket(use, time);
    const { stamp } = use;
    // By its secret too, since its key may be renamed. No key can be called so.
    const names = [use.key, `code ${use.id}`];
    if (names.some((name) => stamp <= ofKey(name).floor)) return { outcome: 'used', by: null };
    if (stamp <= start()) return { outcome: 'old' };
    for (const name of names) ofKey(name).floor = stamp;
    return { outcome: 'won', changes: names.map((key) => ({ change: 'floor', key, stamp })) };
  }

  return {
    decide,
    claim: async (use, time) => decide(use, time),
    absorb,
    count: () => count,
  };
}
