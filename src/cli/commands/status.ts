import type { Status } from '../../control/status.ts';
import { ofQueueReaders } from '../../machine/observations.ts';
import { findQueueReaders } from '../../machine/queue-readers.ts';
import { standDownProblem } from '../../rollback/stood-down.ts';
import { printable } from '../../text/plain.ts';
import { tell, type View } from '../ask-daemon.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { counted, lengthInWords } from '../output/durations.ts';
import { folded, formatTable } from '../output/table.ts';
import { stoodDownNow } from '../stood-down.ts';

/** Shows doors, counters, queue health and uptime, and says what is wrong; then it fails. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  const answered = await tell(options, () => ({ command: 'status' }), statusLines, {
    timeout: ANSWER_MS_MAX,
    exit: ({ problems }) => (problems.length === 0 ? EXIT.done : EXIT.failed),
  });
  if (answered === EXIT.noDaemon) {
    tellOfStandDown();
    await tellOfReaders(options.config);
  }
  return answered;
}

/** Without a daemon that would say it. */
function tellOfStandDown(): void {
  const problem = standDownProblem(stoodDownNow());
  if (problem !== undefined) process.stderr.write(`nfknock: ${problem.what}; ${problem.fix}\n`);
}

/** Where no daemon reads its queue another program may, and then let in what nfknock would have dropped. */
async function tellOfReaders(file: string): Promise<void> {
  const { loadConfig } = await import('../../config/load.ts');
  const loaded = loadConfig(file);
  if (!loaded.ok) return;
  const { config } = loaded;
  for (const { what, fix } of ofQueueReaders(config, await findQueueReaders(config.listen.queues), []))
    process.stderr.write(`nfknock: ${printable(`${what}; ${fix}`)}\n`);
}

/** A daemon that is asked how it is and says nothing for so long is not well, and that is the answer. Milliseconds. */
const ANSWER_MS_MAX = 2_000;

/** Of a fact: its name and a space. */
const FACT_INDENT = 10;

/** The status for people. What does not fit into a line goes on below. */
export function statusLines(status: Status, { width }: View): readonly string[] {
  const fold = (line: string, indent: number): readonly string[] =>
    width === null ? [line] : folded(line, width, indent);
  const head = `nfknock ${status.version}, process ${status.pid}, up ${lengthInWords(status.uptime)}, ${status.config}`;
  return [
    ...fold(printable(head), 2),
    '',
    ...doorLines(status, width),
    '',
    ...factLines(status).flatMap((line) => fold(line, FACT_INDENT)),
    '',
    ...problemLines(status).flatMap((line) => fold(line, 8)),
  ];
}

/** A line for each fact: what it is about, then what is known. */
export function factLines(status: Status): readonly string[] {
  const { queue } = status;
  const packets = Object.entries(status.packets)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${outcome}`);
  const lag = queue.lag === null ? '' : `, judged ${queue.lag.toFixed(1)} ms after they come`;
  const facts: readonly (readonly [about: string, fact: string])[] = [
    ['packets', packets.length === 0 ? 'none yet' : packets.join(', ')],
    ['queue', `${queue.source}: ${queue.packets} read, ${queueWords(queue)}${lag}`],
    ['bans', `${status.bans}${status.enforce ? '' : ' (only logged, not enforced)'}`],
    ['sources', `${status.sources} remembered, of at most ${status.sources_max}`],
    ['state', status.state.ok ? 'on disk' : `not written: ${status.state.reason ?? 'unknown'}`],
    [
      'firewall',
      status.firewall.ok ? 'in force' : `not as it should be: ${status.firewall.reason ?? 'unknown'}`,
    ],
    ...fleetFacts(status.fleet),
  ];
  return facts.map(([about, fact]) => printable(`${about.padEnd(9)} ${fact}`));
}

function fleetFacts(fleet: Status['fleet']): readonly (readonly [about: string, fact: string])[] {
  if (fleet === null) return [];
  const { name, up, members, outbox } = fleet;
  const others = counted(members.length, 'other member');
  return [['fleet', `${name}: ${up ? 'up' : 'apart'}, ${others}, ${outbox} to be told (nfknock fleet)`]];
}

/** How many wait and how many were lost. What the daemon's user may not read is unknown, not 0. */
export function queueWords({ depth, kernel_dropped, user_dropped }: Status['queue']): string {
  if (depth === null || kernel_dropped === null) {
    return `waiting unknown, at least ${user_dropped} lost (the kernel tells the rest to root alone)`;
  }
  return `${depth} waiting, ${kernel_dropped + user_dropped} lost`;
}

function doorLines(status: Status, width: number | null): readonly string[] {
  if (status.doors.length === 0) return ['No doors: only decoys and bans.'];
  const columns = [
    { title: 'DOOR', least: 8 },
    { title: 'PROTECTS', least: 8 },
    { title: 'IN NOW', align: 'right' },
    { title: 'OPENED', align: 'right' },
  ] as const;
  const rows = status.doors.map(({ name, ports, open, opened }) => [
    name,
    ports.join(', '),
    `${open}`,
    `${opened}`,
  ]);
  return formatTable(columns, rows, width);
}

function problemLines(status: Status): readonly string[] {
  const lines = (word: string, list: Status['problems']): readonly string[] =>
    list.flatMap(({ what, fix }) => [printable(`${word} ${what}`), printable(`  fix: ${fix}`)]);
  const problems = lines('wrong: ', status.problems);
  const warnings = lines('warning:', status.warnings);
  return [...(problems.length === 0 ? ['All is well.'] : problems), ...warnings];
}
