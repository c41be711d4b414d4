import type { ExplainRow, Explanation } from '../../control/answers.ts';
import { printable } from '../../text/plain.ts';
import { refusalWords } from '../../text/refusal-words.ts';
import { addressArgument, tell, type View } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { counted, leftInWords, utcTime } from '../output/durations.ts';
import { formatTable } from '../output/table.ts';

/** Tells what a source did, packet by packet as far as remembered, and what came of it. */
export async function command([address]: readonly string[], options: CommonOptions): Promise<ExitCode> {
  const others = `nfknock tail --source ${address} shows which of them did what`;
  return tell(
    options,
    () => ({ command: 'explain', address: addressArgument(address, others) }),
    explainLines,
  );
}

/** How it stands, then how it came to that. */
export function explainLines(explanation: Explanation, { width, now }: View): readonly string[] {
  const { source, grants, ban, strikes, attempts, packets, forgotten } = explanation;
  const standing: string[] = [];
  if (ban !== null) {
    const shadow = ban.shadow ? ' (only logged, not enforced)' : '';
    standing.push(
      `${ban.target} is banned for another ${leftInWords(ban.until, now)}; it is ban number ${ban.count}${shadow}.`,
    );
  }
  for (const { door, until, reason } of grants) {
    const why = reason === null ? '' : ` (${reason})`;
    const left = `${leftInWords(until, now)}${why}`;
    standing.push(
      ban === null || ban.shadow
        ? `${source} is let in at ${door} for another ${left}.`
        : `${source} has a grant for ${door} for another ${left}, but the ban comes first: nfknock unban ${source}`,
    );
  }
  for (const { door, step, of } of attempts)
    standing.push(`${source} is at step ${step} of ${of} of ${door}.`);
  if (strikes > 0) standing.push(`${source} has ${counted(strikes, 'strike')}.`);
  if (standing.length === 0) standing.push(`${source} is neither let in nor banned, and has no strikes.`);
  const lines = standing.map(printable);
  if (packets.length === 0) return [...lines, 'No packet of it is remembered.'];
  const older =
    forgotten === 0
      ? []
      : [
          `Of all sources, ${counted(forgotten, 'older packet')} ${forgotten === 1 ? 'is' : 'are'} not remembered any more.`,
        ];
  const columns = [
    { title: 'TIME (UTC)' },
    { title: 'PORT' },
    { title: 'OUTCOME', kind: 'optional' },
    { title: 'WHY', kind: 'text', least: 24 },
  ] as const;
  const rows = packets.map((row) => [
    utcTime(row.time),
    row.port ?? '',
    row.outcome.replaceAll('_', ' '),
    whyOf(row),
  ]);
  return [...lines, '', ...older, ...formatTable(columns, rows, width)];
}

/** Outcomes whose words hold the reason. */
const WORDED: ReadonlySet<string> = new Set(['stale', 'replayed', 'refused']);

/** Knocks that were right, and had no effect. */
const NO_EFFECT: Readonly<Record<string, string>> = {
  guard: 'too soon after the door was opened or closed: ignored, no offence',
  'used already': 'the one-time line that was used last: ignored, no offence',
};

function noEffectOf({ outcome, reason }: ExplainRow): string | undefined {
  return outcome === 'repeat' ? NO_EFFECT[reason ?? ''] : undefined;
}

type Why = (row: ExplainRow) => string;
const at: Why = ({ door, step, of }) =>
  door === null ? '' : `${door}${step === null ? '' : ` step ${step} of ${of ?? '?'}`}`;
const inDoor: Why = (row) => (row.door === null ? '' : ` (${at(row)})`);

/** The engine's outcomes in words, and what happened to the source between its packets. */
const WHY: Readonly<Record<string, Why>> = {
  malformed: () => 'it could not be read',
  banned: () => 'the source was banned already',
  retransmission: () => 'the same packet again: neither progress nor offence',
  backscatter: () => 'an answer to what was forged in our name: no offence',
  ignored: () => 'neither a knock nor a decoy, or without the flags that the door wants',
  scan: () => 'flags that no client sends first',
  rate: () => 'more packets than bans.rate lets pass',
  accepted: (row) => `a right knock: ${at(row)}`,
  opened: (row) => `the last knock: ${row.door ?? 'the door'} is open`,
  closed: (row) => `the last knock of the close sequence: ${row.door ?? 'the door'} is closed`,
  repeat: (row) =>
    `${noEffectOf(row) ?? 'a knock made already, or one that closes what is closed: ignored'}${inDoor(row)}`,
  tolerated: (row) => `a wrong knock that \`tolerate\` lets pass${inDoor(row)}`,
  expired: (row) => `too late: begun anew${inDoor(row)}`,
  too_fast: (row) => `sooner than gap.min: broken off${inDoor(row)}`,
  wrong: (row) =>
    row.door === null
      ? 'a port of a sequence, and not the first: nothing was begun'
      : `a wrong knock: the attempt is broken off${inDoor(row)}${row.key === null ? '' : `; a code of ${holder(row)}`}`,
  elsewhere: () => 'nothing here explains it: it waited for another member of the fleet',
  'door.opened': (row) => `let in at ${row.door ?? 'a door'}${byKey(row)}`,
  'door.renewed': (row) => `let in at ${row.door ?? 'a door'} for longer${byKey(row)}`,
  'door.refused': (row) => `a right knock, and nobody is let in at ${row.door ?? 'a door'}`,
  'door.closed': (row) => `no longer let in at ${row.door ?? 'a door'}`,
  'ban.added': () => 'banned',
  'ban.extended': () => 'banned for longer',
  'ban.lifted': () => 'the ban was lifted',
  'ban.expired': () => 'the ban ended',
  'fleet.refused': () => 'another member said something of it that has no effect here',
  proven: (row) => `${ofKey(row)}: ${row.door ?? 'the door'} is open`,
  stale: (row) => opensNothing(row),
  replayed: (row) => opensNothing(row),
  refused: (row) => opensNothing(row),
  decoy: () => 'a decoy: nothing is behind this port, so touching it is scanning',
};

const holder = ({ key, person }: ExplainRow): string =>
  key === null ? 'a key' : `key ${key}${person === null ? '' : ` (${person})`}`;
const byKey: Why = (row) => (row.key === null ? '' : ` by ${holder(row)}`);
/** A packet that a key proved, and whose key that was. */
const ofKey: Why = (row) => `a packet of ${holder(row)}`;
const opensNothing: Why = (row) =>
  `${ofKey(row)} that opens nothing: ${refusalWords(row.reason ?? 'everybody may come from there')}`;

/** `order` is the log's word for what somebody asked for. */
function byHand({ outcome, reason }: ExplainRow): boolean {
  return outcome.startsWith('ban.') && reason === 'order';
}

function whyOf(row: ExplainRow): string {
  const why = WHY[row.outcome]?.(row) ?? '';
  const isWorded = WORDED.has(row.outcome) || noEffectOf(row) !== undefined;
  const told = row.reason === null || row.reason === '' || isWorded;
  const reason = told ? '' : ` [${byHand(row) ? 'by hand' : row.reason}]`;
  const strikes = row.strikes === null || row.strikes === 0 ? '' : `; strike ${row.strikes}`;
  const exempt = row.exempt === null ? '' : `; never banned: ${row.exempt}`;
  return `${why}${reason}${strikes}${exempt}`.trimStart();
}
