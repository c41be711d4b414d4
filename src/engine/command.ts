import type { Address } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { BanOrigin } from './ban.ts';
import type { CloseReason, CodeReason, Grantee, Holder, SpaReason } from './event.ts';
import type { EngineSettings } from './settings.ts';

/** What people, the kernel and the state file tell the engine. Moments are on the engine's clock. */
export type Command =
  | {
      readonly command: 'grant';
      readonly door: string;
      readonly address: Address;
      readonly for?: Milliseconds;
      readonly reason?: string;
    }
  | { readonly command: 'revoke'; readonly address: Address; readonly door?: string }
  | { readonly command: 'ban'; readonly address: Address; readonly for?: Milliseconds }
  | { readonly command: 'unban'; readonly address: Address }
  /** Of all bans, or of the `most` that were made first. */
  | { readonly command: 'unban_all'; readonly most?: number }
  /** Who is never banned besides `bans.never`: own addresses, and those of `everybody`, gateways and name servers. */
  | ({
      readonly command: 'exempt';
      readonly networks: readonly Cidr[];
      readonly everybody?: readonly Cidr[];
    } & Piece)
  | ({ readonly command: 'reload'; readonly settings: EngineSettings } & Piece)
  /** What a reload has left to be moved, or of bans to be lifted: `rest` says that there is more. */
  | { readonly command: 'move_attempts'; readonly most: number }
  /** Goes on looking for bans that must not be any more, from where the answer before said. */
  | ({ readonly command: 'lift_exempt'; readonly from: number } & Piece)
  /** The next sequence of a one-time door; empty: none is left. */
  | { readonly command: 'sequence'; readonly door: string; readonly knock: readonly PortSpec[] }
  /** A connection to a door's service was made: one of the grant's uses is gone. */
  | { readonly command: 'connected'; readonly door: string; readonly source: Address }
  /** The kernel or the state file refused this grant: it never was. */
  | {
      readonly command: 'refuse';
      readonly door: string;
      readonly grantee: Grantee;
      readonly reason: Exclude<CloseReason, 'fleet'>;
    }
  /** An authenticated packet, used up already, opens this door for an address. */
  | {
      readonly command: 'authorize';
      readonly door: string;
      /** Who is let in, as the door's `grant` says: this address, or others for it. */
      readonly address: Address;
      readonly for: Milliseconds;
      readonly holder: Holder;
    }
  /** An authenticated packet opens nothing. */
  | {
      readonly command: 'reject';
      readonly source: Address;
      readonly port: PortSpec;
      readonly holder: Holder;
      readonly reason: SpaReason;
      readonly detail?: string;
      /** Whether it is an offence of its source, which has sent another's used packet. */
      readonly offence: boolean;
    }
  /** A code that was knocked whole opens nothing. */
  | {
      readonly command: 'refuse_code';
      readonly source: Address;
      readonly door: string;
      readonly port: PortSpec;
      readonly of: number;
      readonly reason: CodeReason;
      /** Whose it is; null: nobody's. */
      readonly holder: Holder | null;
      readonly detail?: string;
      /** Whether it is one wrong code too many of its source, which is banned for it. */
      readonly tooMany: boolean;
    }
  /** What another member of the fleet has said; what it takes back comes first, then its grants. */
  | {
      readonly command: 'fleet';
      readonly origin: string;
      readonly lifts: readonly FleetLift[];
      readonly grants: readonly FleetGrant[];
      readonly bans: readonly FleetBan[];
      /** Bans are only said. */
      readonly shadow?: true;
    }
  /** What was kept from before a restart; nothing is announced. */
  | {
      readonly command: 'restore';
      readonly grants: readonly GrantRecord[];
      readonly bans: readonly BanRecord[];
      readonly histories: readonly HistoryRecord[];
    };

/** How many bans are looked at in one go to see whether they may stay; without: all. */
interface Piece {
  readonly most?: number;
}

export interface GrantRecord {
  readonly door: string;
  readonly grantee: Grantee;
  readonly source: Address;
  readonly since: Milliseconds;
  readonly until: Milliseconds;
  readonly usesLeft: number | null;
  readonly reason: string | null;
  readonly holder: Holder | null;
  readonly from?: string;
}

export interface BanRecord {
  readonly target: Cidr;
  readonly since: Milliseconds;
  readonly until: Milliseconds;
  readonly count: number;
  readonly origin: BanOrigin;
  readonly from?: string;
}

/** A ban of another member, as it is there. */
export type FleetBan = Omit<BanRecord, 'from'>;

/** A grant of another member. The door's ports and the longest it may last are this machine's. */
export interface FleetGrant {
  readonly door: string;
  readonly grantee: Grantee;
  readonly source: Address;
  /** The last opening or renewal there. */
  readonly opened: Milliseconds;
  readonly until: Milliseconds;
  readonly usesLeft: number | null;
}

/** An end before its time that another member has said. */
export type FleetLift =
  /** `strikes`: only where nobody wants the ban; `order`: only where somebody does. */
  | { readonly lift: 'ban'; readonly target: Cidr; readonly only: BanOrigin | 'any' }
  | { readonly lift: 'grant'; readonly door: string; readonly grantee: Grantee };

/**
 * Why something of what another member said changes nothing here. `exempt`: the source is never banned. `holds a grant`:
 * it was let in here, and nobody wants the ban. `unknown door`: this machine has none of that name. `grantee`: this
 * machine's door lets no such thing in. `over`: its time is up. `full`: no more grants fit.
 */
export type LeftOut = 'exempt' | 'holds a grant' | 'unknown door' | 'grantee' | 'over' | 'full';

export interface HistoryRecord {
  readonly target: Cidr;
  readonly count: number;
  /** The last ban. */
  readonly since: Milliseconds;
  readonly until: Milliseconds;
}

/** How a command went: what it changed, or why it could not be carried out, in words that say the fix. */
export type CommandAnswer =
  | {
      readonly ok: true;
      readonly changed: number;
      /** Where `lift_exempt` or `move_attempts` is to go on; nothing is left without it. */
      readonly rest?: number;
      /** To whom the grants were that a connection has used up. */
      readonly ended?: readonly Grantee[];
      /** How many of another member's bans and grants changed nothing here, and why. */
      readonly leftOut?: ReadonlyMap<LeftOut, number>;
    }
  | {
      readonly ok: false;
      readonly reason: 'unknown door' | 'not found' | 'never banned' | 'full' | 'banned' | 'everybody';
    };
