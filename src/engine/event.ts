import type { Address } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { MalformedReason } from '../packet/decode.ts';
import type { PortRange, PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { MemberReason, RefusedReason } from '../policy/fleet.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { RejectReason } from '../policy/key-use.ts';
import type { ExemptReason } from './exempt.ts';

export type { Grantee } from '../policy/grantee.ts';

/** Why a grant ended. `used`: its last permitted connection was made. */
export type CloseReason =
  | 'expired'
  | 'knock'
  | 'revoked'
  | 'moved'
  | 'used'
  | 'reload'
  | 'refused'
  | 'key'
  | 'fleet';
/** Why a ban ended before its time. */
export type LiftReason = 'unban' | 'limit' | 'exempt' | 'key' | 'fleet';

/** What a packet did wrong, in words that never come from the packet. */
export type WrongReason = 'out of order' | 'tolerated' | 'same mistake' | CodeReason;
/** Why a code that was knocked whole opens nothing. `late`: it is right for a moment that is over, or to come. */
export type CodeReason = 'code wrong' | 'code used' | 'code late';
/** Why a right knock had no effect. `guard`: too soon after the door's other sequence. */
export type IgnoredReason = 'used already' | 'guard';
export type ExpiredReason = 'gap' | 'within';
export type ScanReason = 'rate' | 'null' | 'fin' | 'xmas' | 'ack' | 'maimon' | 'flags';
/** Why a knock that was right opens nothing. */
export type RefusalReason = 'gateway or name server';

/** By which key a grant was made, and whose that is, as the key file names them; null: nobody is named. */
export interface Holder {
  readonly key: string;
  readonly person: string | null;
}

/** Why an authenticated packet opens nothing. */
export type SpaReason = RejectReason | 'banned';

/** What every event has: the moment on the engine's clock. `strikes` is the count after this offence. */
interface Moment {
  readonly at: Milliseconds;
}

/** What the engine says. `source` is a host; a ban's `target` is the network that offences are counted by. */
export type EngineEvent = Moment &
  (
    | {
        readonly event: 'knock.accepted';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly step: number;
        readonly of: number;
        /** Doors that it is the same to, and that are not named. */
        readonly count?: number;
        readonly origin?: string;
      }
    | {
        readonly event: 'knock.wrong';
        readonly source: Address;
        readonly port: PortSpec;
        readonly reason: WrongReason;
        readonly door?: string;
        readonly step?: number;
        readonly of?: number;
        readonly strikes?: number;
        readonly exempt?: ExemptReason;
        /** Doors that it is the same to, and that are not named. */
        readonly count?: number;
        /** Whose the code was. */
        readonly key?: string;
        readonly person?: string;
        /** The same in words of this code. */
        readonly detail?: string;
        readonly origin?: string;
      }
    | {
        /** A code was knocked whole. Never announced: what comes of it is. */
        readonly event: 'code.knocked';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly of: number;
        readonly code: string;
      }
    | {
        readonly event: 'knock.ignored';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly reason: IgnoredReason;
      }
    | { readonly event: 'knock.elsewhere'; readonly source: Address; readonly port: PortSpec }
    | {
        readonly event: 'knock.too_fast';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly step: number;
        readonly of: number;
        readonly reason: 'gap';
        readonly strikes?: number;
        readonly exempt?: ExemptReason;
        /** Doors that it is the same to, and that are not named. */
        readonly count?: number;
      }
    | {
        readonly event: 'knock.expired';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly step: number;
        readonly of: number;
        readonly reason: ExpiredReason;
        /** Doors that it is the same to, and that are not named. */
        readonly count?: number;
      }
    | {
        readonly event: 'decoy.hit';
        readonly source: Address;
        readonly port: PortSpec;
        readonly reason?: 'service';
        readonly strikes?: number;
        readonly exempt?: ExemptReason;
        readonly origin?: string;
      }
    | {
        readonly event: 'scan.detected';
        readonly source: Address;
        readonly port: PortSpec;
        readonly reason: ScanReason;
        readonly strikes?: number;
        readonly exempt?: ExemptReason;
        readonly origin?: string;
      }
    | { readonly event: 'packet.malformed'; readonly reason: MalformedReason }
    | {
        readonly event: 'ban.added';
        readonly target: Cidr;
        readonly until: Milliseconds;
        readonly strikes: number;
        readonly reason: 'strikes' | 'order' | 'code' | 'fleet';
        readonly count: number;
        readonly shadow?: true;
        /** Which member of the fleet said so. */
        readonly origin?: string;
        /** Somebody wants it, there. For the state file alone. */
        readonly wanted?: true;
      }
    | {
        readonly event: 'ban.extended';
        readonly target: Cidr;
        readonly until: Milliseconds;
        readonly reason: 'order' | 'fleet';
        readonly count: number;
        /** Which member of the fleet said so. */
        readonly origin?: string;
        /** Somebody wants it, there. For the state file alone. */
        readonly wanted?: true;
      }
    | {
        readonly event: 'ban.lifted';
        readonly target: Cidr;
        readonly reason: LiftReason;
        /** Which member of the fleet said so. */
        readonly origin?: string;
      }
    | { readonly event: 'ban.expired'; readonly target: Cidr }
    | {
        readonly event: 'door.opened';
        readonly source: Address;
        readonly door: string;
        readonly ports: readonly PortRange[];
        readonly grantee: Grantee;
        readonly until: Milliseconds;
        readonly reason?: string;
        readonly key?: string;
        readonly person?: string;
        /** Which member of the fleet said so. */
        readonly origin?: string;
        /** Whose count of bans was forgiven. */
        readonly forgiven?: readonly Cidr[];
      }
    | {
        readonly event: 'door.renewed';
        readonly source: Address;
        readonly door: string;
        readonly ports: readonly PortRange[];
        readonly grantee: Grantee;
        readonly until: Milliseconds;
        readonly reason?: string;
        readonly key?: string;
        readonly person?: string;
        /** Which member of the fleet said so. */
        readonly origin?: string;
        /** Whose count of bans was forgiven. */
        readonly forgiven?: readonly Cidr[];
      }
    | {
        readonly event: 'door.refused';
        readonly source: Address;
        readonly door: string;
        readonly reason: RefusalReason;
        readonly key?: string;
        readonly person?: string;
      }
    | {
        readonly event: 'door.closed';
        readonly source: Address;
        readonly door: string;
        readonly ports: readonly PortRange[];
        readonly grantee: Grantee;
        readonly reason: CloseReason;
        readonly key?: string;
        readonly person?: string;
        /** Which member of the fleet said so. */
        readonly origin?: string;
      }
    | {
        readonly event: 'spa.rejected';
        readonly source: Address;
        readonly port: PortSpec;
        readonly key: string;
        readonly person?: string;
        readonly reason: SpaReason;
        /** The same in words of this packet. */
        readonly detail?: string;
        readonly strikes?: number;
        readonly exempt?: ExemptReason;
      }
  );

/** What the daemon says of its own life and of the kernel's side. */
export type DaemonEvent = Moment &
  (
    | { readonly event: 'daemon.ready'; readonly reason?: string }
    | { readonly event: 'daemon.stopped'; readonly reason: string }
    | { readonly event: 'daemon.reloaded' }
    | { readonly event: 'config.rejected'; readonly reason: string }
    | { readonly event: 'config.warning'; readonly reason: string; readonly door?: string }
    | { readonly event: 'command.failed'; readonly door: string; readonly reason: string }
    | { readonly event: 'command.output'; readonly door: string; readonly reason: string }
    | { readonly event: 'state.degraded'; readonly reason: string }
    | { readonly event: 'state.recovered' }
    | { readonly event: 'firewall.repaired'; readonly reason: string }
    | { readonly event: 'firewall.stood_down'; readonly until?: Milliseconds }
    | { readonly event: 'firewall.resumed' }
    | {
        readonly event: 'firewall.failed';
        readonly reason: string;
        readonly source?: Address;
        readonly door?: string;
      }
    | {
        readonly event: 'spa.accepted';
        readonly source: Address;
        readonly door: string;
        readonly port: PortSpec;
        readonly key: string;
        readonly person?: string;
      }
    | { readonly event: 'spa.unauthenticated'; readonly port: PortSpec; readonly count: number }
    | { readonly event: 'spa.overload'; readonly count: number }
    | { readonly event: 'key.added'; readonly key: string; readonly person?: string }
    | { readonly event: 'key.revoked'; readonly key: string; readonly person?: string }
    | { readonly event: 'queue.overflow'; readonly reason: string; readonly count: number }
    | { readonly event: 'events.lost'; readonly reason: string; readonly count: number }
    | { readonly event: 'daemon.fault'; readonly reason: string }
    /** What all members have said is known here. */
    | { readonly event: 'fleet.joined'; readonly members: readonly string[] }
    | { readonly event: 'fleet.apart'; readonly reason: string }
    | { readonly event: 'fleet.member'; readonly member: string; readonly reason: MemberReason }
    /** Of what a member says something is not believed. */
    | {
        readonly event: 'fleet.refused';
        readonly member: string;
        readonly reason: RefusedReason;
        readonly count: number;
      }
    | { readonly event: 'log.suppressed'; readonly of_event: string; readonly count: number }
  );

/** A code that was knocked: for those alone who know the keys. */
export type CodeKnocked = Extract<EngineEvent, { readonly event: 'code.knocked' }>;

/** What is announced. */
export type NfknockEvent = Exclude<EngineEvent, CodeKnocked> | DaemonEvent;
export type EventName = NfknockEvent['event'];

/** Takes an event for the length of the call; events are immutable, so it may keep it. */
export type Emit = (event: EngineEvent) => void;
