import type { Problem, Status } from './answers.ts';

/** Packets waiting beyond which the daemon is said to be behind: a sixteenth of the queue that is asked for. */
const DEPTH_HIGH = 4096;
/** A lag beyond which `gap.max` begins to be missed by honest knockers, in milliseconds. */
const LAG_HIGH = 1000;
/** How full the table of sources may be before the least advanced are forgotten, as a part of 1. */
const SOURCES_HIGH = 0.95;

/** What is wrong with a daemon, in words, and what to do about it; the gravest first. */
export function problemsOf(status: Omit<Status, 'problems'>): readonly Problem[] {
  const { queue, state, firewall, sources, sources_max: sourcesMax } = status;
  const lost = queue.kernel_dropped + queue.user_dropped;
  const problems: (Problem | null)[] = [
    firewall.ok
      ? null
      : {
          what: `the firewall is not as it should be: ${firewall.reason ?? 'unknown'}`,
          mend: 'see the log for firewall.failed; run "nfknock rules install" if it stays so',
        },
    state.ok
      ? null
      : {
          what: `the state file is not written: ${state.reason ?? 'unknown'}`,
          mend: 'until that is mended, grants and bans do not survive a restart',
        },
    queue.depth < DEPTH_HIGH
      ? null
      : {
          what: `${queue.depth} packets wait to be judged`,
          mend: 'the daemon is behind: look for a flood ("nfknock watch"), or use "source: nflog", which is far cheaper',
        },
    queue.lag === null || queue.lag < LAG_HIGH
      ? null
      : {
          what: `packets are judged ${Math.round(queue.lag)} ms after they came`,
          mend: 'the machine is short of CPU: see what else runs, or use "source: nflog"',
        },
    lost === 0
      ? null
      : {
          what: `${lost} packets were lost before the daemon saw them`,
          mend: 'they were dropped, so nobody came in, but a knock may have been among them: under a steady flood use "source: nflog"',
        },
    queue.errors === 0
      ? null
      : {
          what: `${queue.errors} messages of the kernel made no sense`,
          mend: 'report it with the version of the kernel (uname -r)',
        },
    sources < sourcesMax * SOURCES_HIGH
      ? null
      : {
          what: `${sources} sources are remembered, of at most ${sourcesMax}`,
          mend: 'the least advanced are forgotten first; raise "memory.sources" if there is memory',
        },
    status.enforce
      ? null
      : {
          what: 'bans are only said, not enforced',
          mend: 'set "bans.enforce: true" and reload when you have seen enough',
        },
  ];
  return problems.filter((problem) => problem !== null);
}
