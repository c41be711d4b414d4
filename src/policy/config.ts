import type { Cidr } from '../packet/cidr.ts';
import type { FlagRule } from '../packet/flags.ts';
import type { Port, PortRange, PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Fleet } from './fleet.ts';

/** The configuration after parsing: every default filled in, every value in its domain type. Types only. */
export interface Config {
  readonly listen: Listen;
  /** In the order of the file. */
  readonly doors: readonly Door[];
  readonly decoys: 'all' | readonly PortRange[];
  readonly allow: readonly PortRange[];
  /** What a stranger meets at knock, decoy and protected ports: nothing, or what a port says that nobody serves. */
  readonly answer: 'drop' | 'closed';
  /** Who decides on ESTABLISHED and `allow` in INPUT: our chain, what follows it, or the latter where that accepts. */
  readonly accept: 'auto' | 'return' | 'own';
  readonly bans: Bans;
  readonly grants: 'rule' | 'set';
  /** Sources remembered at once. */
  readonly memory: { readonly sources: number };
  /** The file of keys; read where `listen.spa` names a port, or a door takes codes. */
  readonly keys: string;
  readonly state: string;
  readonly control: string;
  readonly log: LogSettings;
  /** `host:port` (loopback) or the path of a Unix socket. */
  /** A loopback address and port, or the absolute path of a Unix socket. */
  readonly metrics: string | null;
  /** Null: this machine is alone. */
  readonly fleet: Fleet | null;
}

export interface Listen {
  readonly source: 'nfqueue' | 'nflog';
  readonly queues: { readonly first: number; readonly last: number };
  readonly group: number;
  /** Ingress interfaces; empty: all but `lo`. */
  readonly interfaces: readonly string[];
  /** UDP ports for packets that a key proves. */
  readonly spa: readonly Port[];
  /** How far the clock of their sender may be off. */
  readonly clockSkew: Milliseconds;
}

export interface Door {
  readonly name: string;
  /** The sequence, or the path of a one-time sequences file; empty: the door opens by key alone. */
  readonly knock: readonly PortSpec[] | { readonly oneTime: string };
  /** Steps of 30 s before and after the present one whose codes are taken, where the sequence takes a code. */
  readonly codeSteps: { readonly back: number; readonly ahead: number };
  /** From the first knock to the last; null: by the number of steps (`withinOf`). */
  readonly within: Milliseconds | null;
  readonly gap: { readonly min: Milliseconds; readonly max: Milliseconds };
  readonly tolerate: number;
  readonly flags: FlagRule;
  readonly opens: readonly PortRange[];
  readonly for: Milliseconds;
  /** Empty: the door has no close sequence. */
  readonly close: readonly PortSpec[];
  /** Connections after which the grant ends. */
  readonly uses: number | null;
  /** At most this many grants of this door at once; the oldest ends with reason `moved`. */
  readonly holders: number | null;
  readonly grant: 'source' | 'any' | Cidr;
  /** The host behind this machine that has the service, and whether this machine's port is translated to it. */
  readonly forward: { readonly to: Cidr; readonly dnat: boolean } | null;
  /** The mark of packets that a grant lets in, for tables of others to accept by; null: they get none. */
  readonly grantMark: number | null;
  /** Argument vectors; the first element is an absolute path. Null: nothing runs. */
  readonly onOpen: readonly string[] | null;
  readonly onClose: readonly string[] | null;
}

export interface Bans {
  readonly strikes: number;
  readonly within: Milliseconds;
  readonly for: Milliseconds;
  readonly escalate: number;
  readonly max: Milliseconds;
  readonly rate: { readonly packets: number; readonly per: Milliseconds };
  /** So many wrong one-time codes in this time are banned. */
  readonly code: { readonly wrong: number; readonly per: Milliseconds };
  readonly never: readonly Cidr[];
  readonly strikeOnService: boolean;
  readonly enforce: boolean;
  readonly scope: 'all' | 'hidden';
  readonly cut: boolean;
  readonly limit: number;
}

export interface LogSettings {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  /** Null: standard output. */
  readonly file: string | null;
  /** Bytes. */
  readonly maxSize: number;
  readonly files: number;
}
