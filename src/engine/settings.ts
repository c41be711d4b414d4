import type { Address } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { FlagRule } from '../packet/flags.ts';
import type { PortRange, PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';

/** What the engine needs of the configuration. */
export interface EngineSettings {
  readonly doors: readonly DoorSettings[];
  readonly decoys: 'all' | readonly PortRange[];
  readonly allow: readonly PortRange[];
  readonly bans: BanSettings;
  /** Entries of each of the tables for attempts, offenders and openings. */
  readonly sources: number;
  /** Packets that are remembered for their repeats, at least; default 65,536. Less is for who simulates a few sources. */
  readonly repeats?: number;
}

/** What the engine asks of a fleet whose members tell each other of knocks. */
export interface Sharing {
  /** Whether they do now, or would if the bus were there. */
  isOn(): boolean;
  /** Whether what the others say is heard. */
  hears(): boolean;
  /** Packets of this source that nobody has had a use for yet, here and elsewhere. */
  standing(source: Address): number;
}

export interface DoorSettings {
  readonly name: string;
  /** The sequence that opens; empty: the door stays shut (a one-time file with no line left). */
  readonly knock: readonly PortSpec[];
  /** A sequence opens once; then the door stays shut until the order `sequence` brings the next. */
  readonly oneTime: boolean;
  readonly close: readonly PortSpec[];
  /** From the first knock to the last; null: by the number of steps (`withinOf`). */
  readonly within: Milliseconds | null;
  readonly gap: { readonly min: Milliseconds; readonly max: Milliseconds };
  readonly tolerate: number;
  readonly flags: FlagRule;
  readonly opens: readonly PortRange[];
  readonly for: Milliseconds;
  readonly uses: number | null;
  readonly holders: number | null;
  readonly grant: 'source' | 'any' | Cidr;
}

export interface BanSettings {
  readonly strikes: number;
  readonly within: Milliseconds;
  readonly for: Milliseconds;
  readonly escalate: number;
  readonly max: Milliseconds;
  readonly rate: { readonly packets: number; readonly per: Milliseconds };
  readonly never: readonly Cidr[];
  readonly strikeOnService: boolean;
  readonly enforce: boolean;
  readonly limit: number;
}
