/** What the daemon answers, as it stands on the wire and as `--json` prints it. Types only. */

import type { Status } from './status.ts';

/** ISO 8601 in UTC with milliseconds, as in the event log. */
export type Moment = string;

export interface GrantRow {
  readonly door: string;
  /** Who is let in: `any`, an address or a network. */
  readonly grantee: string;
  /** Who knocked, or was named. */
  readonly source: string;
  readonly since: Moment;
  readonly until: Moment;
  /** Connections left; null: no limit. */
  readonly uses_left: number | null;
  readonly reason: string | null;
  /** The key that it rests on, and whose that is; null: none, nobody was named. */
  readonly key: string | null;
  readonly person: string | null;
  /** The member of the fleet that it was earned at; null: here. */
  readonly from: string | null;
}

/** A key, without anything secret. */
export interface KeyRow {
  readonly name: string;
  readonly person: string | null;
  /** `ssh`, `ed25519`, `secret`, `fwknop`, `totp` or `doorman`. */
  readonly kind: string;
  readonly doors: readonly string[];
  readonly expires: Moment | null;
  /** Openings that it has had, and the most it may have; null: no limit. */
  readonly used: number;
  readonly uses: number | null;
  readonly last_used: Moment | null;
  /** Grants that rest on it now. */
  readonly grants: number;
}

export interface BanRow {
  /** An IPv4 address or an IPv6 /64. */
  readonly target: string;
  readonly since: Moment;
  readonly until: Moment;
  /** Which ban of this target it is. */
  readonly count: number;
  /** True where it is only logged, not enforced. */
  readonly shadow: boolean;
  /** The member of the fleet that said it; null: it was made here. */
  readonly from: string | null;
}

export interface Attempt {
  readonly door: string;
  readonly step: number;
  readonly of: number;
}

export interface SourceRow {
  readonly source: string;
  readonly strikes: number;
  readonly attempts: readonly Attempt[];
  /** Until when it is banned; null: it is not. */
  readonly banned: Moment | null;
}

/** One remembered packet and what became of it. */
export interface ExplainRow {
  readonly time: Moment;
  /** `7000/tcp`; null where it had none that could be read. */
  readonly port: string | null;
  /** The engine's outcome, such as `accepted` or `decoy`. */
  readonly outcome: string;
  readonly door: string | null;
  readonly step: number | null;
  readonly of: number | null;
  /** The source's strikes after it. */
  readonly strikes: number | null;
  /** Why the source is not banned for them, or not struck. */
  readonly exempt: string | null;
  readonly reason: string | null;
  readonly key: string | null;
  readonly person: string | null;
}

export interface Explanation {
  readonly source: string;
  readonly grants: readonly GrantRow[];
  readonly ban: BanRow | null;
  readonly strikes: number;
  readonly attempts: readonly Attempt[];
  /** Oldest first. */
  readonly packets: readonly ExplainRow[];
  /** Older packets that are counted but no longer remembered one by one. */
  readonly forgotten: number;
}

/** How many grants ended or bans were lifted. */
export interface Changed {
  readonly changed: number;
}

export interface Reloaded {
  /** What the new configuration is weak in; empty: nothing. */
  readonly warnings: readonly string[];
}

/** Whether every rule is out since somebody at the console said so. The daemon has looked at that anew. */
export interface StandsDown {
  readonly stood_down: boolean;
}

/** Each command's answer. Lists go over the wire in parts. */
export interface Answers {
  readonly status: Status;
  readonly grants: readonly GrantRow[];
  readonly grant: GrantRow;
  readonly revoke: Changed;
  readonly bans: readonly BanRow[];
  readonly ban: BanRow;
  readonly unban: Changed;
  readonly sources: readonly SourceRow[];
  readonly explain: Explanation;
  readonly keys: readonly KeyRow[];
  readonly key_revoke: Changed;
  readonly reload: Reloaded;
  readonly stand_down: StandsDown;
  readonly subscribe: Readonly<Record<string, never>>;
}

/** Why a request was not carried out. */
export interface Refusal {
  readonly code: RefusalCode;
  /** One line. */
  readonly message: string;
  /** What to do, one line. */
  readonly fix: string;
  /** With `config`: the faults of the file, a line each. */
  readonly faults?: readonly string[];
}

export type RefusalCode =
  /** The line is no JSON object, is too long, or came too early. */
  | 'syntax'
  /** Another version of this protocol. */
  | 'version'
  | 'unknown command'
  | 'bad argument'
  | 'unknown door'
  | 'unknown key'
  /** The address may not be banned. */
  | 'never banned'
  /** A limit is reached: connections, subscribers, grants. */
  | 'full'
  /** The new configuration is wrong; the old one stays. */
  | 'config'
  /** The kernel, the disk or the daemon itself failed. */
  | 'failed';
