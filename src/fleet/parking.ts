import type { Address } from '../packet/address.ts';
import type { Packet } from '../packet/packet.ts';

/** A packet that waits for somebody to have a use for it. */
export interface Parked {
  /** By which all members know it. */
  readonly id: number;
  readonly packet: Packet;
  readonly source: string;
  /** When it came, by this machine's clock. */
  readonly came: number;
  /** To which other member; null: here. */
  readonly origin: string | null;
  /**
   * `wrong`: nothing explained it where it came. `rest`: it went on with an attempt, and may break another. `explained`: it
   * had a use where it came, and may have another one here. `excused`: nobody could be asked.
   * `known`: somebody knows it as a step that was made. Neither is a strike.
   */
  kind: 'wrong' | 'rest' | 'explained' | 'excused' | 'known';
  readonly since: number;
  readonly until: number;
  /** It is the source's last knock that came here: the same port again is a repeat. */
  isLast: boolean;
}

/** Packets that stand aside, found by source and by id, never searched for. */
export interface Parking {
  /** False where no more of this source, or of all, can wait. */
  add(parked: Parked): boolean;
  /** As it came; a list of its own. */
  of(source: string): readonly Parked[];
  byId(id: number): Parked | undefined;
  remove(parked: Parked): void;
  /** Takes out the first whose time is over. */
  takeDue(now: number): Parked | undefined;
  /** When the first time is over; Infinity: nothing waits. */
  deadline(): number;
  /** Those of one source that went on with no attempt. */
  useless(source: string): number;
  size(): number;
}

/** That came here, and that others told of: neither takes the other's room. Some fifty tell as much as they may. */
const OWN_MAX = 4_096;
const TOLD_MAX = 32_768;
/** Of what came here, packets that nobody was asked about: who forges sources has any number of them. */
const EXCUSED_MAX = OWN_MAX / 2;
/** Of one source. */
const EACH_MAX = 64;

export function createParking(): Parking {
  const sources = new Map<string, Parked[]>();
  /** What came here, and what others told of: each in the order in which it was added, which is that of its ends. */
  const own = new Map<number, Parked>();
  const told = new Map<number, Parked>();
  const mapOf = ({ origin }: Parked): Map<number, Parked> => (origin === null ? own : told);

  function remove(parked: Parked): void {
    const ids = mapOf(parked);
    if (ids.get(parked.id) !== parked) return;
    ids.delete(parked.id);
    const left = (sources.get(parked.source) ?? []).filter((each) => each !== parked);
    if (left.length === 0) sources.delete(parked.source);
    else sources.set(parked.source, left);
  }

  function first(): Parked | undefined {
    const [one, other]: readonly (Parked | undefined)[] = [
      own.values().next().value,
      told.values().next().value,
    ];
    if (one === undefined || other === undefined) return one ?? other;
    return one.until <= other.until ? one : other;
  }

  return {
    add(parked) {
      const there = sources.get(parked.source) ?? [];
      const ownMax = parked.kind === 'excused' ? EXCUSED_MAX : OWN_MAX;
      const isFull = parked.origin === null ? own.size >= ownMax : told.size >= TOLD_MAX;
      if (isFull || there.length >= EACH_MAX || own.has(parked.id) || told.has(parked.id)) return false;
      mapOf(parked).set(parked.id, parked);
      sources.set(
        parked.source,
        [...there, parked].sort((x, y) => x.came - y.came),
      );
      return true;
    },
    of: (source) => sources.get(source) ?? NOTHING,
    byId: (id) => own.get(id) ?? told.get(id),
    remove,
    takeDue(now) {
      const parked = first();
      if (parked === undefined || parked.until > now) return undefined;
      remove(parked);
      return parked;
    },
    deadline: () => first()?.until ?? Number.POSITIVE_INFINITY,
    useless(source) {
      let count = 0;
      for (const { kind } of sources.get(source) ?? NOTHING)
        if (kind !== 'rest' && kind !== 'explained') count += 1;
      return count;
    },
    size: () => own.size + told.size,
  };
}

const NOTHING: readonly Parked[] = [];

/** What a source is kept by. */
export function sourceKey({ family, a, b, c, d }: Address): string {
  return `${family} ${a} ${b} ${c} ${d}`;
}
