import { type Finding, fault, warning } from './finding.ts';
import { isLaid, type Rulesets } from './tables.ts';
import type { Unit } from './unit.ts';

/** What a running daemon tells. */
export interface Running {
  readonly pid: number;
  /** Addresses that are let in or have strikes. */
  readonly sources: readonly string[];
}

/** The daemon of this configuration: what it tells, or that none is there, or that it gives no answer. */
export type Asked = Running | 'none' | 'silent';

/** Rules shut the ports whether a daemon runs or not, and nobody but a daemon opens them. */
export function ofDaemon(asked: Asked, rules: Rulesets, unit: Unit | undefined): readonly Finding[] {
  if (!isLaid(rules)) return [];
  if (asked === 'none') {
    const problem = 'no daemon runs, and the rules are in force: every door is shut, and no knock opens one';
    const start = unit === undefined ? 'nfknock run' : 'systemctl start nfknock';
    const fix = `start it: ${start}; or open what the doors protect to everyone: nfknock stand-down`;
    return [fault('no-daemon', problem, fix)];
  }
  if (asked === 'silent') {
    const problem = 'the daemon gives no answer: it is stopped or overloaded, and knocks may open nothing';
    const fix = 'see "systemctl status nfknock" and its log; restart it if it stays so';
    return [warning('no-daemon', problem, fix)];
  }
  return [];
}
