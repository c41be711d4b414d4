import { legacyBeside } from '../firewall/iptables/watch.ts';
import { ofAcceptance } from '../machine/acceptance.ts';
import { type Asking, oneLook } from '../machine/asking.ts';
import { lookAtMachine } from '../machine/look.ts';
import { findNativeTables } from '../machine/native-tables.ts';
import { findUntracked } from '../machine/notrack/find.ts';
import { ofUntracked } from '../machine/notrack/untracked.ts';
import { type Observation, observationsOf, ofQueueReaders } from '../machine/observations.ts';
import { findPeers } from '../machine/peers.ts';
import { findQueueReaders } from '../machine/queue-readers.ts';
import { formatAddress } from '../packet/address.ts';
import type { Config } from '../policy/config.ts';
import type { NamedServers } from '../policy/fleet.ts';
import type { OneTimePorts } from '../policy/port-roles.ts';
import { pendingChange } from '../rollback/change.ts';
import { undoneNow } from '../rollback/rollback.ts';
import { type StoodDown, standDownProblem } from '../rollback/stood-down.ts';
import { type Asked, ofDaemon } from './daemon.ts';
import { ofDisk, ofFiles } from './files.ts';
import { type Finding, fault, warning } from './finding.ts';
import { ofConntrack, ofKernel } from './kernel.ts';
import { lookAtAcceptance, lookAtBoot, lookAtClock, lookAtConntrack, lookAtRules } from './look.ts';
import { ofBoot, ofClock, ofEverybody } from './machine.ts';
import { ofSecrets } from './secrets.ts';
import { ofTables } from './tables.ts';
import { installedWalls } from './unit.ts';
import { findNames, ofWalls } from './walls.ts';

/** What is looked at, and what only others can tell. */
export interface Subject {
  readonly config: Config;
  /** Where the configuration stands. */
  readonly file: string;
  /** The same, where it is not what the daemon's unit reads; else empty. */
  readonly elsewhere: string;
  readonly oneTime: OneTimePorts;
  readonly daemon: Asked;
  /** Gateways and name servers: packets of everybody may come from there. */
  readonly gateways: readonly string[];
  readonly stoodDown: StoodDown | undefined;
  /** Asks the Sentinels of the configuration, if it has some, which servers they name. */
  readonly servers: () => Promise<NamedServers>;
}

/** Everything that stands in the way of this configuration on this machine, faults first. */
export async function examine(subject: Subject): Promise<readonly Finding[]> {
  const { config, file, elsewhere, daemon, gateways, stoodDown } = subject;
  const sources = typeof daemon === 'string' ? [] : daemon.sources;
  const walls = installedWalls();
  const unit = walls?.unit;
  const names = walls === undefined ? undefined : await findNames(config, await subject.servers());
  const asking = oneLook();
  const rules = await lookAtRules(asking);
  const found = [
    ...ofKernel(config),
    ...(await ofLegacy()),
    // What is out because it was stood down is no fault of its own: its fix would end that.
    ...ofTables(config, rules).filter(({ code }) => code !== 'rules-missing' || stoodDown === undefined),
    ...ofDaemon(daemon, rules, unit),
    ...(await ofMachine(subject, asking)),
    ...ofSecrets(config, file, unit),
    ...ofFiles(config, unit),
    ...ofWalls(config, walls, names, elsewhere),
    ...ofDisk(config),
    ...ofClock(lookAtClock()),
    ...ofBoot(lookAtBoot()),
    ...ofEverybody([...sources, ...peersOf(config)], gateways),
    ...ofConntrack(lookAtConntrack('count'), lookAtConntrack('max')),
    ...ofPending(),
    ...ofStoodDown(stoodDown),
  ];
  return [
    ...found.filter(({ level }) => level === 'fault'),
    ...found.filter(({ level }) => level === 'warning'),
  ];
}

/** Under these a port is open, no knock is heard, or nobody gets in. */
const FAULTS: readonly Observation['code'][] = ['interface', 'queue-reader', 'native-table', 'notrack'];

/** What `check` and the daemon say of this machine too. */
async function ofMachine({ config, oneTime, daemon }: Subject, asking: Asking): Promise<readonly Finding[]> {
  const own = typeof daemon === 'string' ? [] : [daemon.pid];
  const observations = [
    ...observationsOf(config, await lookAtMachine(asking), oneTime),
    // One that gives no answer does not say either which process it is, and may be the one that reads.
    ...(daemon === 'silent' ? [] : ofQueueReaders(config, await findQueueReaders(config.listen.queues), own)),
    ...(await findNativeTables(config, oneTime)),
    ...ofAcceptance(config, await lookAtAcceptance(config, oneTime)),
    ...ofUntracked(await findUntracked(config, oneTime, asking)),
  ];
  return observations.map(({ code, what, fix }) =>
    FAULTS.includes(code) ? fault(code, what, fix) : warning(code, what, fix),
  );
}

/** Who is connected now to what the doors protect: with source NAT in front everybody seems to be the gateway. */
function peersOf({ doors }: Config): readonly string[] {
  const here = doors.filter((door) => door.forward === null);
  return findPeers(here.flatMap(({ opens }) => opens)).map(formatAddress);
}

async function ofLegacy(): Promise<readonly Finding[]> {
  const text = await legacyBeside().catch(() => undefined);
  if (text === undefined) return [];
  const [problem = text, fix = ''] = text.split('; ');
  return [warning('legacy-beside', problem, fix)];
}

function ofStoodDown(down: StoodDown | undefined): readonly Finding[] {
  const problem = standDownProblem(down);
  return problem === undefined ? [] : [fault('stood-down', problem.what, problem.fix)];
}

function ofPending(): readonly Finding[] {
  const waiting = pendingChange();
  const undone = waiting === undefined ? undoneNow() : undefined;
  if (undone !== undefined) return [warning('pending-rollback', undone, 'nfknock rules roll-back')];
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
