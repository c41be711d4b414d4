import type { Address } from '../packet/address.ts';
import { type Cidr, contains, parseCidr } from '../packet/cidr.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { RejectReason } from '../policy/key-use.ts';
import type { Key } from './key.ts';
import type { Proven, SpaPacket } from './proof.ts';
import { sourceNetwork } from './source-network.ts';
import type { Usage } from './usage.ts';
import type { Claim, PacketUse } from './used-once.ts';
import { doorIdOf } from './v1.ts';
import { doorsFor, type SpaDoor } from './wanted-doors.ts';

export interface Rejected {
  readonly outcome: 'rejected';
  readonly key: Key;
  readonly reason: RejectReason;
  /**
   * How far its clock is behind this machine's, in milliseconds; less than 0: ahead. Of a key that has expired: for how
   * long. Null: time is not the reason.
   */
  readonly behind: number | null;
  /** Whether it is an offence of its source: only who sends another's used packet again commits one. */
  readonly offence: boolean;
}

export interface Accepted {
  readonly outcome: 'accepted';
  readonly key: Key;
  /** What opens, and for how long. */
  readonly doors: readonly { readonly door: string; readonly for: Milliseconds }[];
  /** For whom. */
  readonly address: Address;
  /** To be claimed before anything opens. */
  readonly use: PacketUse;
}

/** What a packet is held against. */
export interface Admission {
  readonly doors: readonly SpaDoor[];
  /** How far a sender's clock may be off, in milliseconds. */
  readonly skew: number;
  readonly usage: Usage;
}

/** What nobody's packets come from: a grant to it is a mistake, or an attempt at one. */
const NOT_A_HOST: readonly Cidr[] = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/127', 'ff00::/8'].flatMap(
  (text) => parseCidr(text) ?? [],
);

/** Whether a proven packet may open what it asks for; nothing is noted yet. */
export function admit(proven: Proven, packet: SpaPacket, admission: Admission): Accepted | Rejected {
  const { key, ask, stamp, id } = proven;
  const { source, wall, now } = packet;
  const reject = (reason: RejectReason): Rejected => rejected(key, reason);

  if (stamp !== null && Math.abs(wall - stamp) > admission.skew) {
    return { ...reject('stale'), behind: wall - stamp };
  }
  if (key.expires !== null && wall >= key.expires) {
    return { ...reject('expired'), behind: wall - key.expires };
  }
  if (!isAmong(source, key.from) || !isAmong(packet.destination, key.to)) return reject('from');
  if (key.user !== null && ask.user !== key.user) return reject('user');
  const doors = wantedDoors(proven, admission.doors);
  if (typeof doors === 'string') return reject(doors);
  const address = ask.address ?? source;
  const named = ask.address !== null;
  if (named ? isNoHost(address) : key.address === 'required') return reject('address');
  if (!admission.usage.permits(key, now)) return reject('limit');
  return {
    outcome: 'accepted',
    key,
    doors: doors.map((door) => ({ door: door.name, for: timeAt(door, proven, wall) })),
    address,
    use: { use: 'packet', key: key.name, id, stamp, source: sourceNetwork(source) },
  };
}

/** Why a packet that was admitted opens nothing after all. */
export function claimRejection({ key, use }: Accepted, claim: Exclude<Claim, { outcome: 'won' }>): Rejected {
  switch (claim.outcome) {
    case 'used':
      return { ...rejected(key, 'replayed'), offence: claim.by !== null && claim.by !== use.source };
    case 'old':
      return rejected(key, 'stale');
    case 'full':
    case 'unavailable':
      return rejected(key, claim.outcome);
    default:
      return claim satisfies never;
  }
}

function rejected(key: Key, reason: RejectReason): Rejected {
  return { outcome: 'rejected', key, reason, behind: null, offence: false };
}

function wantedDoors({ key, ask }: Proven, doors: readonly SpaDoor[]): readonly SpaDoor[] | RejectReason {
  const { wants } = ask;
  const own = doors.filter(({ name }) => key.doors.includes(name));
  if (wants.by === 'nothing') return wants.reason;
  if (wants.by === 'door') {
    const found = own.filter(({ name }) => doorIdOf(name) === wants.id);
    return found.length === 0 ? 'door' : found;
  }
  const found = doorsFor(wants.ports, wants.nat, own);
  if (found.length > 0) return found;
  return wants.nat === null ? 'ports' : 'nat';
}

/**
 * A packet may ask for less than the door's time, and for more only as far as its key may. Nothing that a key opened
 * outlasts it.
 */
function timeAt(door: SpaDoor, { key, ask: { seconds } }: Proven, wall: number): Milliseconds {
  const most = Math.min(key.forMax ?? door.for, (key.expires ?? Number.POSITIVE_INFINITY) - wall);
  return milliseconds(Math.min(most, seconds === 0 ? door.for : seconds * 1000));
}

/** Whether an address is in one of these networks, or any will do. */
export function isAmong(address: Address, networks: readonly Cidr[]): boolean {
  return networks.length === 0 || networks.some((network) => contains(network, address));
}

function isNoHost(address: Address): boolean {
  return NOT_A_HOST.some((network) => contains(network, address));
}
