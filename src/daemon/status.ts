import { userInfo } from 'node:os';
import type { Problem, Status } from '../control/answers.ts';
import { openOverIpv6 } from '../firewall/iptables/families.ts';
import type { Concern } from '../machine/concerns.ts';
import { formatAddress } from '../packet/address.ts';
import { formatPortRange } from '../packet/port.ts';
import { queueLength } from '../source/queue-length.ts';
import type { SourceHealth } from '../source/source.ts';
import type { Parts } from './dependencies.ts';
import { LATELY } from './recent-count.ts';
import { totalHealth } from './sample.ts';

/** A queue this deep is not being read fast enough: half of what the kernel holds for us. */
const DEPTH_WORRYING = 32_768;
/** A judgement this late makes knocks expire: half of the usual gap between two. In milliseconds. */
const LAG_WORRYING = 1_000;

/** A refused knock is told of for so long, in milliseconds. */
const HOUR = 3_600_000;

/** Docker and others change the rules when they start or stop something; more often than this is a fight. */
const MEDDLED_WORRYING = 5;

/** How the daemon stands, and in words what is wrong and what to do. */
export function statusOf(parts: Parts): Status {
  const { config, engine, clock, announcer } = parts;
  const sizes = engine.sizes();
  const queue = totalHealth(parts);
  const open = engine.grantCounts();
  const opened = announcer.opened();
  const state = parts.store.health();
  return {
    version: parts.version,
    pid: process.pid,
    uptime: Math.round((clock.now() - parts.since) / 1000),
    config: parts.configFile,
    doors: config.doors.map((door) => ({
      name: door.name,
      ports: door.opens.map(formatPortRange),
      open: open.get(door.name) ?? 0,
      opened: opened.get(door.name) ?? 0,
    })),
    packets: parts.intake.counts(),
    queue: {
      source: config.listen.source,
      packets: queue.packets,
      batches: queue.batches,
      depth: queue.complete ? queue.depth : null,
      kernel_dropped: queue.complete ? queue.kernelDropped : null,
      user_dropped: queue.userDropped,
      errors: queue.errors,
      overruns: queue.overruns,
      lag: parts.lag === null ? null : Math.round(parts.lag * 1000) / 1000,
    },
    bans: sizes.bans,
    enforce: config.bans.enforce,
    sources: Math.max(sizes.attempts, sizes.offenders),
    sources_max: sizes.sourcesMax,
    state: { ok: state.ok, reason: state.reason },
    firewall: { ok: parts.firewallFault === null, reason: parts.firewallFault },
    events_lost: parts.losses.total(),
    faults: parts.faults.total(),
    problems: [...problemsOf(parts, queue), ...parts.surroundings.problems().map(inWords)],
    warnings: parts.surroundings.warnings().map(inWords),
  };
}

/** Who the daemon runs as, for what must be given to it. */
function userName(): string {
  try {
    return `the user ${userInfo().username}`;
  } catch {
    return `the user ${process.getuid?.() ?? ''}`;
  }
}

function inWords({ what, fix }: Concern): Problem {
  return { what, mend: fix };
}

function problemsOf(parts: Parts, queue: SourceHealth): readonly Problem[] {
  const sizes = parts.engine.sizes();
  const state = parts.store.health();
  const problems: Problem[] = [];
  if (parts.firewallFault !== null) {
    problems.push({
      what: parts.firewallFault,
      mend: 'see who changes the rules; `nfknock rules install` puts them back',
    });
  }
  const waiting = parts.restored.waiting();
  if (waiting > 0) {
    problems.push({
      what: `${waiting} ${waiting === 1 ? 'grant' : 'grants'} from before the reboot wait for a wall clock that is synchronised`,
      mend: 'start systemd-timesyncd or chrony; who knocks anew is let in meanwhile',
    });
  }
  if (parts.ipv6Fault !== null) {
    problems.push({
      what: `${openOverIpv6(parts.config)}: ${parts.ipv6Fault}`,
      mend: 'install ip6tables or the module that is missing, or boot with ipv6.disable=1; then restart nfknock',
    });
  }
  if (parts.metricsFault !== null) {
    problems.push({
      what: parts.metricsFault,
      mend: 'end who has the address, or give `metrics` another, and restart',
    });
  }
  const logFault = parts.logFault();
  if (logFault !== null) {
    problems.push({
      what: `the log file ${parts.config.log.file} can't be written (${logFault}); events go to standard output meanwhile`,
      mend: `let ${userName()} write it and its folder, or give \`log.file\` another; it is tried again every second`,
    });
  }
  const refused = parts.announcer.lastRefused();
  if (refused !== undefined && parts.clock.now() - refused.at < HOUR) {
    problems.push({
      what: `knocks come from ${formatAddress(refused.source)}, a gateway or name server of this machine: a grant to it would let in whoever is behind it, so none is given`,
      mend: 'have the router pass source addresses on (no source NAT in front), or write `grant: any` for a door that everybody may be let in by',
    });
  }
  if (parts.usesFault !== null) {
    problems.push({
      what: parts.usesFault,
      mend: 'sysctl net.netfilter.nf_conntrack_events=1, where it is 0; the module nf_conntrack_netlink must be there',
    });
  }
  const meddled = parts.meddled();
  if (meddled > MEDDLED_WORRYING) {
    problems.push({
      what: `someone else changed the rules ${meddled} times in the last minute; each time they were put back`,
      mend: 'find out who: docker, ufw, firewalld, a script; `nfknock tail --event "firewall.*"` tells when',
    });
  }
  if (!parts.config.bans.enforce) {
    problems.push({
      what: 'bans are only said, not enforced',
      mend: 'set bans.enforce: true once the log shows what you expect',
    });
  }
  if (!state.ok)
    problems.push({
      what: `the state is kept in memory only: ${state.reason}`,
      mend: 'free the disk or repair the file; it is taken up again by itself',
    });
  const { first, last } = parts.config.listen.queues;
  if (queue.depth > Math.min(DEPTH_WORRYING, queueLength(last - first + 1) / 2)) {
    problems.push({
      what: `${queue.depth} packets wait in the queue`,
      mend: 'the machine is too busy or under a flood; consider listen.source: nflog',
    });
  }
  const lost = parts.lost();
  if (lost > 0) {
    problems.push({
      what: `${lost} packets were lost in the last minute before they were judged (they were dropped, none was let in)`,
      mend: 'under a flood that is expected; else give the machine more time, or listen.source: nflog',
    });
  }
  const missed = parts.losses.lately();
  if (missed > 0) {
    problems.push({
      what: `${missed} of the kernel's messages on connections and rules were missed in the last minute; the rules were looked at again`,
      mend: 'under a flood that is expected; else see what keeps the processor busy',
    });
  }
  const fault = parts.faults.last();
  if (fault !== null) {
    problems.push({
      what: `a part of nfknock failed in the last minute and goes on: ${fault}`,
      mend: 'see `nfknock tail --event daemon.fault`; report it unless memory or descriptors were short',
    });
  }
  if (parts.lag !== null && parts.lag > LAG_WORRYING) {
    problems.push({
      what: `packets are judged ${Math.round(parts.lag)} ms late`,
      mend: 'knocks may expire; see what else uses the processor',
    });
  }
  if (sizes.bans >= sizes.bansMax) {
    problems.push({
      what: `the ban list is full (${sizes.bansMax})`,
      mend: 'raise bans.limit; until then the ban that ends first makes room',
    });
  }
  // What is left of a flood stays until its place is wanted; it is no trouble once nobody has to make room.
  if (parts.clock.now() - parts.engine.crowded() < LATELY) {
    problems.push({
      what: `the table of sources is full (${sizes.sourcesMax})`,
      mend: 'a flood of forged first knocks does this; raise memory.sources if it lasts',
    });
  }
  return problems;
}
