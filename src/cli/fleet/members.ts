import { systemClock } from '../../clock.ts';
import { ask } from '../../control/client.ts';
import type { FleetRow } from '../../control/status.ts';
import { printable, printableJson } from '../../text/plain.ts';
import { controlPath, type View } from '../ask-daemon.ts';
import type { FleetOptions } from '../commands/fleet.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { counted, utcTime } from '../output/durations.ts';
import { formatTable } from '../output/table.ts';

/** A daemon that says nothing for so long is not well, in milliseconds. */
const ANSWER_MS_MAX = 2_000;

/** Lists the members as the daemon sees them; 1 where it is apart from them. Rejects as `ask` does. */
export async function listMembers({ config, json }: FleetOptions): Promise<ExitCode> {
  const { fleet, problems } = await ask(await controlPath(config), { command: 'status' }, ANSWER_MS_MAX);
  if (fleet === null)
    throw new CommandFailure(
      EXIT.failed,
      'the daemon is in no fleet: its configuration had no section fleet when it started (docs/fleet.md)',
    );
  const view = { width: process.stdout.isTTY ? process.stdout.columns : null, now: systemClock.wall() };
  const text =
    json === true ? printableJson(JSON.stringify(fleet, null, 2)) : memberLines(fleet, view).join('\n');
  process.stdout.write(`${text}\n`);
  if (fleet.up) return EXIT.done;
  const apart = problems.find(({ what }) => what.startsWith("the fleet's engine"));
  const why = apart ?? { what: "the fleet's engine does not answer", fix: 'see nfknock fleet check' };
  process.stderr.write(`nfknock: ${printable(`${why.what}; ${why.fix}`)}\n`);
  return EXIT.failed;
}

/** The members for people: this machine first. */
export function memberLines(fleet: FleetRow, { width }: View): readonly string[] {
  const { name, engine, up, since, offset, outbox, claims, refused, shed, members } = fleet;
  const asked = Object.entries(claims).map(([result, count]) => `${count} ${result}`);
  const lines = [
    `${name} at ${engine}: ${up ? 'up' : 'apart'} since ${utcTime(since)} UTC, ${clockWords(offset)}`,
    `${outbox} to be told, ${refused} not believed, ${shed} not told; claims: ${asked.join(', ')}`,
  ].map(printable);
  if (members.length === 0) return [...lines, 'No other member is known.'];
  const columns = [
    { title: 'MEMBER', least: 6, kind: 'address' },
    { title: 'VERSION', kind: 'optional' },
    { title: 'SEEN (UTC)' },
    { title: 'LAG', align: 'right' },
    { title: 'OFFSET', align: 'right' },
    { title: 'BANS', align: 'right' },
    { title: 'GRANTS', align: 'right' },
    { title: 'DIFFERS', kind: 'text', least: 8 },
  ] as const;
  const rows = members.map((row) => [
    row.name,
    row.version ?? '',
    row.seen === null ? 'never' : utcTime(row.seen),
    row.lag === null ? '' : `${row.lag} ms`,
    row.offset === null ? '' : `${row.offset} ms`,
    `${row.bans}`,
    `${row.grants}`,
    row.differs.join(', '),
  ]);
  return [...lines, counted(members.length, 'other member'), '', ...formatTable(columns, rows, width)];
}

function clockWords(offset: number): string {
  if (offset === 0) return "clock as the engine's";
  return `clock ${Math.abs(offset)} ms ${offset > 0 ? 'ahead of' : 'behind'} the engine's`;
}
