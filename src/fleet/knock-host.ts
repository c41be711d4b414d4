import type { Shared } from '../engine/elsewhere.ts';
import type { Emit } from '../engine/event.ts';
import type { Budget } from './budget.ts';
import type { Surroundings } from './host.ts';
import type { BusClock } from './offset.ts';
import type { Words } from './words.ts';

/** What a member's knocks ask of the machine that it runs on. */
export interface KnockHost {
  /** Whether this machine tells knocks, and hears those of others. */
  isOn(): boolean;
  /** Whether what this member says of knocks is taken in, and of offences. */
  accepts(member: string, what: 'knocks' | 'offences'): boolean;
  /** How long a knock waits for the others, in milliseconds. */
  wait(): number;
  /** How often what could not be told is excused, and in which time: the steps of the longest sequence. */
  excused(): { readonly times: number; readonly within: number };
  readonly engine: Shared;
  readonly emit: Emit;
  /** Carries out what was emitted. */
  carryOut(): void;
}

export interface KnockParts {
  readonly host: KnockHost;
  readonly clock: BusClock;
  readonly budget: Budget;
  readonly surroundings: Surroundings;
  readonly words: Words;
  /** How far the clocks of two members may be apart, by what each knows of its own, in milliseconds. */
  readonly apart: () => number;
  /** `up`: the bus answers, and others are there; `alone`: nobody else is. */
  readonly company: () => 'up' | 'down' | 'alone';
  readonly refuse: (member: string, reason: 'limit' | 'time') => void;
}
