import { type Address, formatAddress } from '../packet/address.ts';
import { type Cidr, formatCidr, networkOf, OFFENDER_BITS } from '../packet/cidr.ts';
import type { Tally } from './data.ts';

/** One source as a report knows it: an IPv4 host, or the hosts of an IPv6 /64. */
export interface Lane {
  readonly network: Cidr;
  /** The only host seen of it; null once there were two. */
  host: string | null;
  /** Whether it had to make room: what belongs to it is not drawn. */
  dropped: boolean;
  readonly tally: Tally;
  /** For thinning: when a mark of each kind was last kept, and as which. */
  readonly kept: Map<number, KeptMark>;
}

export interface KeptMark {
  readonly at: number;
  n: number;
}

export interface Lanes {
  ofHost(address: Address, at: number): Lane;
  ofNetwork(network: Cidr, at: number): Lane;
  /** The most interesting first. */
  list(): readonly Lane[];
  /** Sources that had to make room; one that came back counts again. */
  dropped(): number;
}

/** Sources that a report holds. When there are more, the dullest half makes room. */
export const LANES_MAX = 5000;

export function createLanes(): Lanes {
  const lanes = new Map<string, Lane>();
  let dropped = 0;

  const makeRoom = (): void => {
    const dull = sorted(lanes).slice(LANES_MAX / 2);
    for (const [key, lane] of dull) {
      lane.dropped = true;
      lanes.delete(key);
    }
    dropped += dull.length;
  };
  const find = (network: Cidr, at: number): Lane => {
    const key = formatCidr(network);
    let lane = lanes.get(key);
    if (lane === undefined) {
      if (lanes.size >= LANES_MAX) makeRoom();
      lane = { network, host: null, dropped: false, tally: emptyTally(at), kept: new Map() };
      lanes.set(key, lane);
    }
    lane.tally.last = at;
    return lane;
  };
  return {
    ofHost(address, at) {
      const network = networkOf(address, OFFENDER_BITS[address.family]);
      const before = lanes.size + dropped;
      const lane = find(network, at);
      const host = formatAddress(address);
      if (lanes.size + dropped > before) lane.host = host;
      else if (lane.host !== host) lane.host = null;
      return lane;
    },
    ofNetwork: ({ address }, at) => find(networkOf(address, OFFENDER_BITS[address.family]), at),
    list: () => sorted(lanes).map(([, lane]) => lane),
    dropped: () => dropped,
  };
}

/** How a lane is called: the host, or the network where it was several. */
export function nameOf(lane: Lane): string {
  return lane.host ?? formatCidr(lane.network);
}

/** How bad a source was: bans first, then what it did. */
export function badness(tally: Tally): number {
  return tally.bans * 1_000_000 + tally.scans + tally.decoys + tally.wrong;
}

/** What is worth keeping: who was let in, who was banned, who got far, who did much. Equal ones in their order. */
function interest(tally: Tally): number {
  return tally.opened * 1e12 + badness(tally) + tally.knocks * 10;
}

function sorted(lanes: ReadonlyMap<string, Lane>): readonly (readonly [string, Lane])[] {
  return [...lanes].sort(([, x], [, y]) => interest(y.tally) - interest(x.tally));
}

function emptyTally(at: number): Tally {
  const counts = { knocks: 0, wrong: 0, decoys: 0, scans: 0, opened: 0, accepted: 0, refused: 0 };
  return { ...counts, bans: 0, strikes: 0, first: at, last: at };
}
