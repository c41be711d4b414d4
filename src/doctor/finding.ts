/** What stands in the way on this machine, and what to do about it. */
export interface Finding {
  /** For programs, and for the tests: one name for each kind. */
  readonly code: string;
  /** A fault lets nobody in, or a stranger; a warning is what an owner should know. */
  readonly level: 'fault' | 'warning';
  readonly problem: string;
  readonly fix: string;
}

export function fault(code: string, problem: string, fix: string): Finding {
  return { code, level: 'fault', problem, fix };
}

export function warning(code: string, problem: string, fix: string): Finding {
  return { code, level: 'warning', problem, fix };
}
