import { legacyBeside } from '../firewall/iptables/watch.ts';
import { type Concern, concernsOf, ofQueueReaders } from '../machine/concerns.ts';
import { lookAtMachine } from '../machine/look.ts';
import { findUntracked } from '../machine/notrack/find.ts';
import { ofUntracked } from '../machine/notrack/untracked.ts';
import { findQueueReaders } from '../machine/queue-readers.ts';
import type { Config } from '../policy/config.ts';
import { NO_ONE_TIME } from '../policy/port-roles.ts';
import { pendingChange } from '../rollback/rollback.ts';
import { ofDisk, ofFiles } from './files.ts';
import { type Finding, fault, warning } from './finding.ts';
import { ofConntrack, ofKernel } from './kernel.ts';
import { lookAtBoot, lookAtClock, lookAtConntrack, lookAtRules } from './look.ts';
import { ofBoot, ofClock, ofEverybody } from './machine.ts';
import { ofSecrets, ofTables } from './tables.ts';
import { installedUnit } from './unit.ts';

/** What a running daemon tells; undefined where none answers. */
export interface Running {
  readonly pid: number;
  /** Addresses that are let in or have strikes. */
  readonly sources: readonly string[];
  readonly gateways: readonly string[];
}

/** Everything that stands in the way of this configuration on this machine, faults first. */
export async function examine(config: Config, running: Running | undefined): Promise<readonly Finding[]> {
  const found = [
    ...ofKernel(config),
    ...(await ofLegacy()),
    ...ofTables(config, await lookAtRules()),
    ...(await ofMachine(config, running)),
    ...ofSecrets(config),
    ...ofFiles(config, installedUnit()),
    ...ofDisk(config),
    ...ofClock(await lookAtClock()),
    ...ofBoot(lookAtBoot()),
    ...ofEverybody(running?.sources ?? [], running?.gateways ?? []),
    ...ofConntrack(lookAtConntrack('count'), lookAtConntrack('max')),
    ...ofPending(),
  ];
  return [
    ...found.filter(({ level }) => level === 'fault'),
    ...found.filter(({ level }) => level === 'warning'),
  ];
}

/** Under these a port is open, no knock is heard, or nobody gets in. */
const FAULTS: readonly Concern['code'][] = ['interface', 'queue-reader', 'notrack'];

/** What `check` and the daemon say of this machine too. */
async function ofMachine(config: Config, running: Running | undefined): Promise<readonly Finding[]> {
  const own = running === undefined ? [] : [running.pid];
  const concerns = [
    ...concernsOf(config, await lookAtMachine(), NO_ONE_TIME),
    ...ofQueueReaders(config, findQueueReaders(config.listen.queues), own),
    ...ofUntracked(await findUntracked(config, NO_ONE_TIME)),
  ];
  return concerns.map(({ code, what, fix }) =>
    FAULTS.includes(code) ? fault(code, what, fix) : warning(code, what, fix),
  );
}

async function ofLegacy(): Promise<readonly Finding[]> {
  const text = await legacyBeside().catch(() => undefined);
  if (text === undefined) return [];
  const [problem = text, fix = ''] = text.split('; ');
  return [warning('legacy-beside', problem, fix)];
}

function ofPending(): readonly Finding[] {
  const waiting = pendingChange();
  if (waiting === undefined) return [];
  const until = new Date(waiting.deadline).toISOString().slice(0, 19).replace('T', ' ');
  return [
    warning(
      'pending-rollback',
      `a change waits for its confirmation and is rolled back at ${until}Z`,
      'nfknock confirm',
    ),
  ];
}
