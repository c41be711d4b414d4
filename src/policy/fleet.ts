import type { Milliseconds } from '../packet/time.ts';

/** The section `fleet` after parsing: what this machine is to several that are one door. And how names and addresses are written. */
export interface Fleet {
  /** What the others call this machine; its user at the engine has the same name. */
  readonly name: string;
  readonly engine: EngineAddress;
  readonly group: string;
  /** The path of the file with the engine's password, and in its second line the secret of the group. */
  readonly password: string;
  /** The path of the certificates that sign the engine's; null: the system's. */
  readonly ca: string | null;
  /** What this member tells. */
  readonly share: readonly Shared[];
  readonly accept: FleetAccept;
  /** Replicas that must hold a one-time mark before its door opens. */
  readonly copies: number;
  /** How long a knock that nothing here explains waits for the others. */
  readonly wait: Milliseconds;
}

export type Shared = 'grants' | 'bans' | 'knocks';

/** What is taken from other members, and how much of it. */
export interface FleetAccept {
  readonly from: 'all' | readonly string[];
  /** Doors by their names. */
  readonly grants: 'all' | 'none' | readonly string[];
  readonly bans: 'enforce' | 'shadow' | 'none';
  /** Another's ban lasts here at most so long. */
  readonly longest: Milliseconds;
  /** The most of one member. */
  readonly each: {
    /** Bans at once. */
    readonly bans: number;
    readonly bansPerSecond: number;
    readonly grantsPerMinute: number;
  };
}

export interface EngineNode {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where the engine is reached. */
export type EngineAddress =
  | ({ readonly kind: 'server'; readonly tls: boolean } & EngineNode)
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'sentinels';
      /** For the Sentinels and for the server they name. */
      readonly tls: boolean;
      readonly nodes: readonly EngineNode[];
      /** What the Sentinels call the server. */
      readonly master: string;
    };

/** The primary and every replica that Sentinels name: any of them may be the primary next. */
export interface NamedServers {
  /** Names, or addresses without brackets. */
  readonly hosts: readonly string[];
  /** Why no Sentinel says; null: one has, or there is none. */
  readonly silence: string | null;
}

export const NO_SERVERS: NamedServers = { hosts: [], silence: null };

/** What has become of another member. `differs`: it defines a door of this machine otherwise. */
export type MemberReason = 'joined' | 'lost' | 'differs';

/** Why something that another member says is not believed. */
export type RefusedReason =
  | 'version'
  | 'length'
  | 'address'
  | 'time'
  | 'origin'
  | 'limit'
  | 'unknown door'
  | 'not accepted';

/** The longest name of a member or a group. */
export const MEMBER_NAME_MAX = 24;
/** One word of a key, a channel and an access rule of the engine, in none of which it means anything. */
const MEMBER_NAME = /^[a-z0-9][a-z0-9-]*$/;

/**
 * Whether a text can name a member or a group. Asked wherever one comes in: the configuration, the command line, and
 * the channels of the engine.
 */
export function isMemberName(text: string): boolean {
  return text.length <= MEMBER_NAME_MAX && MEMBER_NAME.test(text);
}

/** Users that the engine itself has, by docs/fleet.md: a member called so would take their rights away. */
export const ENGINE_USERS: readonly string[] = ['default', 'admin'];

/** Whether a machine can be called so: the engine has a user of its name. */
export function isMachineName(text: string): boolean {
  return isMemberName(text) && !ENGINE_USERS.includes(text);
}

/** A host that is this machine, so that nothing said to it crosses a wire. */
export function isLoopback(host: string): boolean {
  return host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** As it stands in the configuration. */
export function engineText(engine: EngineAddress): string {
  const place = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  switch (engine.kind) {
    case 'socket':
      return `unix:${engine.path}`;
    case 'server':
      return `${engine.tls ? 'rediss' : 'redis'}://${place(engine.host, engine.port)}`;
    case 'sentinels':
      return engine.nodes
        .map(({ host, port }) => `sentinel://${place(host, port)}/${engine.master}`)
        .join(' ');
    default:
      return engine satisfies never;
  }
}
