import { userInfo } from 'node:os';
import type { Problem, Status } from '../control/status.ts';
import type { Observation } from '../machine/observations.ts';
import { formatAddress } from '../packet/address.ts';
import { formatPortRange } from '../packet/port.ts';
import { openOverIpv6 } from '../policy/open-over-ipv6.ts';
import { standDownProblem } from '../rollback/stood-down.ts';
import { queueLength } from '../source/queue-length.ts';
import type { SourceHealth } from '../source/source.ts';
import type { Running } from './dependencies.ts';
import { fleetProblems, fleetRow } from './fleet-status.ts';
import type { HealthSnapshot } from './health.ts';
import { LATELY } from './recent-count.ts';
import { totalHealth } from './sample.ts';

/** A queue this deep is not being read fast enough: half of what the kernel holds for us. */
const DEPTH_WORRYING = 32_768;
/** A judgement this late makes knocks expire: half of the usual gap between two. In milliseconds. */
const LAG_WORRYING = 1_000;

/** A refused knock is told of for so long, in milliseconds. */
const HOUR = 3_600_000;

/** Docker and others change the rules when they start or stop something; more often than this is a fight. */
const EXTERNAL_CHANGES_WORRYING = 5;

/** How the daemon stands, and in words what is wrong and what to do. */
export function statusOf(core: Running): Status {
  const { engine, clock, announcer } = core;
  const config = core.config();
  const health = core.health.snapshot();
  const { faults, lag } = health;
  const sizes = engine.sizes();
  const queue = totalHealth(core);
  const open = engine.grantCounts();
  const opened = announcer.opened();
  const down = standDownProblem(core.standDown.now());
  return {
    version: core.version,
    pid: process.pid,
    uptime: Math.round((clock.now() - core.since) / 1000),
    config: core.configFile,
    doors: config.doors.map((door) => ({
      name: door.name,
      ports: door.opens.map(formatPortRange),
      open: open.get(door.name) ?? 0,
      opened: opened.get(door.name) ?? 0,
    })),
    packets: core.intake.counts(),
    queue: {
      source: config.listen.source,
      packets: queue.packets,
      batches: queue.batches,
      depth: queue.complete ? queue.depth : null,
      kernel_dropped: queue.complete ? queue.kernelDropped : null,
      user_dropped: queue.userDropped,
      errors: queue.errors,
      overruns: queue.overruns,
      lag: lag === null ? null : Math.round(lag * 1000) / 1000,
    },
    bans: sizes.bans,
    enforce: config.bans.enforce,
    sources: Math.max(sizes.attempts, sizes.offenders),
    sources_max: sizes.sourcesMax,
    state: { ok: faults.state === null, reason: faults.state },
    firewall: firewallHealth(faults.firewall, down),
    events_lost: health.missed.total,
    faults: health.exceptions.total,
    fleet: fleetRow(core),
    problems: [
      ...(down === undefined ? [] : [down]),
      ...problemsOf(core, queue, health),
      ...fleetProblems(core),
      ...core.surroundings.problems().map(inWords),
    ],
    warnings: core.surroundings.warnings().map(inWords),
  };
}

function firewallHealth(fault: string | null, down: Problem | undefined): Status['firewall'] {
  const reason = down?.what ?? fault;
  return { ok: reason === null, reason };
}

/** Who the daemon runs as, for what must be given to it. */
function userName(): string {
  try {
    return `the user ${userInfo().username}`;
  } catch {
    return `the user ${process.getuid?.() ?? ''}`;
  }
}

function inWords({ what, fix }: Observation): Problem {
  return { what, fix: fix };
}

function problemsOf(core: Running, queue: SourceHealth, health: HealthSnapshot): readonly Problem[] {
  const { faults, lately, missed, exceptions, lag } = health;
  const sizes = core.engine.sizes();
  const config = core.config();
  const problems: Problem[] = [];
  if (faults.config !== null) {
    problems.push({
      what: `the last reload was refused, and the configuration before it holds: ${faults.config}`,
      fix: 'correct what is named, then run `nfknock reload`',
    });
  }
  if (faults.firewall !== null) {
    problems.push({
      what: faults.firewall,
      fix: 'see who changes the rules; `nfknock rules install` puts them back',
    });
  }
  const waiting = core.restored.waiting();
  if (waiting > 0) {
    problems.push({
      what: `${waiting} ${waiting === 1 ? 'grant' : 'grants'} from before the reboot wait for a wall clock that is synchronised`,
      fix: 'start systemd-timesyncd or chrony; users who knock again are let in meanwhile',
    });
  }
  if (faults.ipv6 !== null) {
    problems.push({
      what: `${openOverIpv6(config)}: ${faults.ipv6}`,
      fix: 'install ip6tables or the module that is missing, or boot with ipv6.disable=1; then restart nfknock',
    });
  }
  if (faults.metrics !== null) {
    problems.push({
      what: faults.metrics,
      fix: 'stop the program that has the address, or give `metrics` another, and restart',
    });
  }
  if (faults.log !== null) {
    problems.push({
      what: `the log file ${config.log.file} can't be written (${faults.log}); events go to standard output meanwhile`,
      fix: `let ${userName()} write it and its folder, or give \`log.file\` another; it is tried again every second`,
    });
  }
  const refused = core.announcer.lastRefused();
  if (refused !== undefined && core.clock.now() - refused.at < HOUR) {
    problems.push({
      what: `knocks come from ${formatAddress(refused.source)}, a gateway or name server of this machine: a grant to it would let in everyone behind it, so none is given`,
      fix: 'have the router pass source addresses on (no source NAT in front), or write `grant: any` for a door that everybody may be let in by',
    });
  }
  if (faults.uses !== null) {
    problems.push({
      what: faults.uses,
      fix: 'sysctl net.netfilter.nf_conntrack_events=1, where it is 0; the module nf_conntrack_netlink must be there',
    });
  }
  const externalChanges = lately['external changes'];
  if (externalChanges > EXTERNAL_CHANGES_WORRYING) {
    problems.push({
      what: `another program changed nfknock's rules ${externalChanges} times in the last minute; restored each time`,
      fix: 'find out which program does it: docker, ufw, firewalld, a script; `nfknock tail --event "firewall.*"` tells when',
    });
  }
  if (!config.bans.enforce) {
    problems.push({
      what: 'bans are only logged, not enforced',
      fix: 'set bans.enforce: true once the log shows what you expect',
    });
  }
  if (faults.state !== null)
    problems.push({
      what: `the state is kept in memory only: ${faults.state}`,
      fix: 'free the disk or repair the file; it is taken up again by itself',
    });
  const { first, last } = config.listen.queues;
  if (queue.depth > Math.min(DEPTH_WORRYING, queueLength(last - first + 1) / 2)) {
    problems.push({
      what: `${queue.depth} packets wait in the queue`,
      fix: 'the machine is too busy or under a flood; consider listen.source: nflog',
    });
  }
  const lost = lately['lost packets'];
  if (lost > 0) {
    problems.push({
      what: `${lost} packets were lost in the last minute before they were judged (they were dropped, none was let in)`,
      fix: 'under a flood that is expected; else give the machine more time, or listen.source: nflog',
    });
  }
  const unread = lately['keys over budget'];
  if (unread > 0) {
    problems.push({
      what: `${unread} packets to the ports of keys were not looked into in the last minute: more than can be proven`,
      fix: 'under a flood that is expected, and who has opened before still does; else take another port in listen.spa, and fewer fwknop keys at it',
    });
  }
  if (missed.lately > 0) {
    problems.push({
      what: `${missed.lately} of the kernel's messages on connections and rules were missed in the last minute; the rules were looked at again`,
      fix: 'under a flood that is expected; else see what keeps the processor busy',
    });
  }
  if (exceptions.last !== null) {
    problems.push({
      what: `a part of nfknock failed in the last minute and goes on: ${exceptions.last}`,
      fix: 'see `nfknock tail --event daemon.fault`; report it unless memory or descriptors were short',
    });
  }
  if (lag !== null && lag > LAG_WORRYING) {
    problems.push({
      what: `packets are judged ${Math.round(lag)} ms late`,
      fix: 'knocks may expire; see what else uses the processor',
    });
  }
  if (sizes.bans >= sizes.bansMax) {
    problems.push({
      what: `the ban list is full (${sizes.bansMax})`,
      fix: 'raise bans.limit; until then the ban that ends first makes room',
    });
  }
  // What is left of a flood stays until its place is wanted; it is no trouble once nobody has to make room.
  if (core.clock.now() - core.engine.crowded() < LATELY) {
    problems.push({
      what: `the table of sources is full (${sizes.sourcesMax})`,
      fix: 'a flood of forged first knocks does this; raise memory.sources if it lasts',
    });
  }
  return problems;
}
