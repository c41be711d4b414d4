import type { PortSpec } from '../packet/port.ts';

/** What makes a configuration weaker, or less useful, than it could be, and what to write instead. */
export interface Warning {
  /** A short name for programs. */
  readonly code: string;
  /** The key to change. */
  readonly key: string;
  readonly text: string;
  readonly fix: string;
}

/** What `check` found in the file of a one-time door. */
export interface OneTimeFacts {
  /** The next sequence; empty: none, or the file cannot be read. */
  readonly next: readonly PortSpec[];
  readonly left: number;
  /** Lines that are no sequence. */
  readonly broken: readonly number[];
  /** Why the file cannot be read; null: it can. */
  readonly unreadable: string | null;
}

export function warning(code: string, key: string, text: string, fix: string): Warning {
  return { code, key, text, fix };
}
