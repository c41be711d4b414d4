import type { EventName } from '../src/engine/event.ts';
import { CATALOGUE, EVENT_NAMES, type Level } from '../src/log/catalogue.ts';
import type { Line } from '../src/log/line.ts';

/** What makes docs/events.md and docs/event.schema.json. Both are written and checked by test/unit/log/catalogue.test.ts. */

type Field = keyof Line;

interface FieldNote {
  readonly schema: object;
  readonly means: string;
  readonly example: string;
}

const COUNT = { type: 'integer', minimum: 0 };
const MOMENT = {
  type: 'string',
  pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$',
};
/** With `?` for digits of a one-time code, which are said nowhere. */
const PORT = '([0-9]{1,5}|[0-9]{1,4}[?]{1,4})/(tcp|udp)';
const NETWORK = '([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)(/[0-9]{1,3})?';

/** Every field of a line, in the order in which it stands there. A field that is missing here does not compile. */
const FIELDS: Readonly<Record<Field, FieldNote>> = {
  time: {
    schema: MOMENT,
    means: 'when it happened: ISO 8601 in UTC with milliseconds',
    example: '"2026-11-21T06:40:00.123Z"',
  },
  level: {
    schema: { enum: ['error', 'warn', 'info', 'debug'] satisfies Level[] },
    means: 'how much it matters',
    example: '"info"',
  },
  event: { schema: { enum: EVENT_NAMES }, means: 'what happened', example: '"door.opened"' },
  source: {
    schema: { type: 'string', pattern: `^${NETWORK}$` },
    means: 'whose packet it was, or who a ban is for: an address; a network where an IPv6 host is banned',
    example: '"198.51.100.7"',
  },
  door: { schema: { type: 'string' }, means: "the door's name in the configuration", example: '"ssh"' },
  port: {
    schema: { type: 'string', pattern: `^${PORT}$` },
    means: 'the port that was touched',
    example: '"7000/tcp"',
  },
  ports: {
    schema: { type: 'array', items: { type: 'string', pattern: `^[0-9]{1,5}(-[0-9]{1,5})?/(tcp|udp)$` } },
    means: 'what the door opens',
    example: '["22/tcp"]',
  },
  reason: {
    schema: { type: 'string' },
    means: 'why, in words that never come from a packet',
    example: '"expired"',
  },
  detail: {
    schema: { type: 'string' },
    means: 'the reason in words of this packet; none of them come from it',
    example: '"its clock is 4 h 5 min behind this machine\'s"',
  },
  key: {
    schema: { type: 'string', pattern: '^[a-z0-9_][a-z0-9_-]{0,31}$' },
    means: 'the key that a packet was proven by, or that a grant rests on',
    example: '"ada-laptop"',
  },
  person: {
    schema: { type: 'string' },
    means: 'whose key it is, as the key file says',
    example: '"ada"',
  },
  until: {
    schema: MOMENT,
    means: 'when a grant or a ban ends by itself',
    example: '"2026-11-21T06:40:30.123Z"',
  },
  strikes: { schema: COUNT, means: 'how many strikes the source has, this offence included', example: '2' },
  exempt: {
    schema: { enum: ['bans.never', 'own address', 'gateway or name server', 'holds a grant'] },
    means: 'why the source is never banned, or not struck',
    example: '"bans.never"',
  },
  step: { schema: COUNT, means: 'how far the sequence was', example: '1' },
  of: { schema: COUNT, means: 'how many steps the sequence has', example: '3' },
  count: {
    schema: COUNT,
    means:
      'how many: bans that this source has had, packets lost, lines not written; of a knock: doors that it is the same to beyond the three that are named',
    example: '1',
  },
  shadow: {
    schema: { const: true },
    means: "it was only said, not done (`bans.enforce: false`; of others' bans `fleet.accept.bans: shadow`)",
    example: 'true',
  },
  origin: {
    schema: { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,23}$' },
    means: 'the member of the fleet that said it',
    example: '"edge2"',
  },
  member: {
    schema: { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,23}$' },
    means: 'the member of the fleet that it is about',
    example: '"edge2"',
  },
  members: {
    schema: { type: 'array', items: { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,23}$' } },
    means: 'all members of the fleet that are known',
    example: '["edge1","edge2"]',
  },
  grantee: {
    schema: { type: 'string', pattern: `^(any|${NETWORK})$` },
    means: 'who is let in, where it is not the source itself',
    example: '"any"',
  },
  of_event: {
    schema: { enum: [...EVENT_NAMES, '*'] },
    means: 'the event whose lines are counted; `*` for lines of any kind',
    example: '"decoy.hit"',
  },
};

const ON_EVERY_LINE: readonly Field[] = ['time', 'level', 'event'];

interface Row {
  readonly name: EventName;
  readonly level: Level;
  readonly when: string;
  /** In the order of the line. */
  readonly fields: readonly { readonly field: Field; readonly presence: 'always' | 'sometimes' }[];
  readonly reasons: string | Readonly<Record<string, string>> | undefined;
}

/** One row for each event, with its fields in the order of the line. */
function rows(): Row[] {
  return EVENT_NAMES.map((name) => {
    const entry = CATALOGUE[name];
    const presence: Partial<Record<Field, 'always' | 'sometimes'>> = entry.fields;
    const fields = (Object.keys(FIELDS) as Field[]).flatMap((field) => {
      const how = presence[field];
      return how === undefined ? [] : [{ field, presence: how }];
    });
    return { name, level: entry.level, when: entry.when, fields, reasons: entry.reasons };
  });
}

/** The JSON Schema of one line, 2020-12. */
export function schema(): object {
  const fields = Object.entries(FIELDS).map(([name, note]) => [
    name,
    { ...note.schema, description: note.means },
  ]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://nfknock.example/event.schema.json',
    title: 'One line of the nfknock event log',
    oneOf: rows().map(schemaOf),
    $defs: Object.fromEntries(fields),
  };
}

function schemaOf(row: Row): object {
  const properties: Record<string, object> = {
    time: refTo('time'),
    level: { const: row.level },
    event: { const: row.name },
  };
  for (const { field } of row.fields) properties[field] = refTo(field);
  if (typeof row.reasons === 'object') properties['reason'] = { enum: Object.keys(row.reasons) };
  const required = row.fields.filter(({ presence }) => presence === 'always').map(({ field }) => field);
  return {
    title: row.name,
    description: row.when,
    type: 'object',
    properties,
    required: [...ON_EVERY_LINE, ...required],
    additionalProperties: false,
  };
}

function refTo(field: Field): object {
  return { $ref: `#/$defs/${field}` };
}

/** The event catalogue as Markdown. */
export function markdown(): string {
  return [
    '# Events',
    '',
    'The log is one JSON object a line, to standard output or to `log.file`. `time`, `level` and `event` are on every',
    'line; the other fields where they apply, always in this order. [event.schema.json](event.schema.json) says the',
    'same for programs. `nfknock tail` writes it as text for people.',
    '',
    'No field holds text that came from the network; what commands and the system said is in `reason`, cut at 1000',
    'characters and with everything escaped that a terminal would act on.',
    '',
    '## Fields',
    '',
    '| field | means | example |',
    '| --- | --- | --- |',
    ...Object.entries(FIELDS).map(([name, note]) => `| \`${name}\` | ${note.means} | \`${note.example}\` |`),
    '',
    '## All events',
    '',
    '| event | level | when |',
    '| --- | --- | --- |',
    ...rows().map(
      (row) => `| [\`${row.name}\`](#${row.name.replaceAll('.', '')}) | ${row.level} | ${row.when} |`,
    ),
    '',
    ...rows().flatMap(sectionOf),
  ].join('\n');
}

function sectionOf(row: Row): string[] {
  const listed = row.fields.map(({ field, presence }) =>
    presence === 'always' ? `\`${field}\`` : `\`${field}\` (where it applies)`,
  );
  return [
    `### ${row.name}`,
    '',
    `*${row.level}*: ${row.when}.`,
    '',
    ...(listed.length === 0 ? [] : [`Fields: ${listed.join(', ')}.`, '']),
    ...reasonsOf(row),
  ];
}

function reasonsOf(row: Row): string[] {
  if (row.reasons === undefined) return [];
  if (typeof row.reasons === 'string') return [`\`reason\`: ${row.reasons}.`, ''];
  const cells = Object.entries(row.reasons).map(([reason, means]) => `| \`${reason}\` | ${means} |`);
  return ['| reason | means |', '| --- | --- |', ...cells, ''];
}
