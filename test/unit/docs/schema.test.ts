import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it, test } from 'vitest';
import { isMap, isScalar, isSeq, type Node, stringify } from 'yaml';
import { configSchema } from '../../../scripts/config-schema.ts';
import { readDocument } from '../../../src/config/document.ts';
import { door } from '../../../src/config/door.ts';
import { formatFault } from '../../../src/config/fault.ts';
import type { Default, Shape } from '../../../src/config/field.ts';
import { type Parsed, parseConfig } from '../../../src/config/parse.ts';
import { root } from '../../../src/config/schema.ts';
import { configuration } from '../../fuzz/configurations.ts';
import { readCorpus } from '../../fuzz/corpus.ts';
import { randomOf } from '../../fuzz/random.ts';
import { SEED } from '../../seed.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SCHEMA = configSchema();
// Numbers that JSON does not have, such as `.inf`, are numbers here too.
const accepts = new Ajv({
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  strictNumbers: false,
}).compile(SCHEMA);

/** What an editor's validator sees: names as they are written, aliases resolved. */
function dataOf(text: string): { readonly data: unknown } | undefined {
  const reading = readDocument(text, 'f.yaml');
  if (reading.faults.length > 0) return undefined;
  const plain = (given: Node | null): unknown => {
    const node = reading.resolve(given);
    if (isSeq(node)) return node.items.map((item) => plain(item as Node | null));
    if (isMap(node)) {
      return Object.fromEntries(
        node.items.map(({ key, value }) => {
          const name = reading.resolve(key as Node | null);
          return [isScalar(name) ? (name.source ?? String(name.value)) : '?', plain(value as Node | null)];
        }),
      );
    }
    return isScalar(node) ? node.value : null;
  };
  return { data: plain(reading.root) };
}

const KEYLESS = / is not a key$|^a value has no key$/;
const NOTHING_LEFT = /^there are no doors and no decoys, /;
/** What JSON Schema can't say: values as they are written, what values mean, and what holds between them. */
const BEYOND_SCHEMA = [
  / is not a time from /,
  / is not a size from /,
  / is not an address or network$/,
  / is not the address of one host$/,
  / is not the name of a network interface$/,
  / is not the absolute path of a file$/,
  / is not the path of a socket$/,
  / is not a place on this machine$/,
  / is not a list of TCP flags$/,
  / is not a port or range from 1 to 65535$/,
  / is not one port from 1 to 65535$/,
  / is not a queue number from /,
  // Numbers in another notation.
  /^"?[-+]?(0x|0o|\d*\.|\d+e|\.inf|\.nan)[^"]*"? is not a (whole )?number from /i,
  / is not a word of a command$/,
  / the key stands twice$|^the key stands twice$/,
  / stands twice in a row, /,
  / is not IPv[46], as forward is, /,
  / is longer than within, /,
  / is not less than gap\.max, /,
  / together last longer than within, /,
  /^the sequence is the same as /,
  / is open to everyone by /,
  / is .* too, and a decoy has nothing behind it$/,
  / strikes of each of \d+ sources are more /,
  / is less than bans\.for, /,
  / is not the address of the fleet's engine$/,
  /^the address holds a user or a password$/,
  /^this is not a Sentinel, /,
  /^this Sentinel is asked for another server /,
  /^there is no door /,
  // A key that is no text is a text for JSON.
  KEYLESS,
];

function onlyBeyond(parsed: Parsed): boolean {
  if (parsed.ok) return false;
  // Whoever leaves out what has no key, or one that is no text, may find nothing left to watch.
  const keyless = parsed.faults.some(({ problem }) => KEYLESS.test(problem));
  return parsed.faults.every(
    ({ problem }) =>
      BEYOND_SCHEMA.some((beyond) => beyond.test(problem)) || (keyless && NOTHING_LEFT.test(problem)),
  );
}

/** Compares both judgements of a text; answers what they are. */
function compare(text: string): 'both accept' | 'both refuse' | 'beyond the schema' | 'not YAML' {
  const document = dataOf(text);
  if (document === undefined) return 'not YAML';
  const parsed = parseConfig(text, 'f.yaml');
  const accepted = accepts(document.data);
  const faults = parsed.ok ? [] : parsed.faults.map(formatFault);
  if (parsed.ok && !accepted)
    throw new Error(`refused by the schema alone: ${JSON.stringify(accepts.errors)}\n${text}`);
  if (!parsed.ok && accepted && !onlyBeyond(parsed))
    throw new Error(`refused by the reader alone:\n${faults.join('\n')}\n${text}`);
  if (parsed.ok) return 'both accept';
  return accepted ? 'beyond the schema' : 'both refuse';
}

// `npm run docs` writes it anew.
test('docs/nfknock.schema.json is made from the records of the options', async () => {
  await expect(`${JSON.stringify(SCHEMA, null, 2)}\n`).toMatchFileSnapshot(
    join(ROOT, 'docs/nfknock.schema.json'),
  );
});

describe('the schema accepts', () => {
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yaml'));
  it.each(examples)('examples/%s', (name) => {
    expect(compare(readFileSync(join(ROOT, 'examples', name), 'utf8'))).toBe('both accept');
  });

  const pages = [
    'README.md',
    ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const written = pages.flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
      .map(([, text = '']) => ({ page, text }))
      .filter(({ text }) => !text.startsWith('# docker-compose')),
  );
  it('what documents show, of which there is much', () => expect(written.length).toBeGreaterThan(15));
  it.each(written)('what $page shows: $text', ({ text }) => {
    expect(compare(text)).toBe('both accept');
  });
});

describe('the schema and the reader agree', () => {
  it('on configurations of random keys, values and changed letters', { timeout: 120_000 }, () => {
    const attempt = configuration.start(randomOf(SEED));
    const counts = new Map<string, number>();
    const texts = [
      ...readCorpus(configuration.name).map(({ bytes }) => bytes),
      ...Array.from({ length: 1500 }, () => attempt.make()),
    ];
    for (const text of texts) {
      const outcome = compare(text.toString());
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    for (const outcome of ['both accept', 'both refuse', 'beyond the schema', 'not YAML'])
      expect(counts.get(outcome) ?? 0, outcome).toBeGreaterThan(50);
  });

  const base = (): { [key: string]: unknown } => ({ doors: { ssh: { knock: [7000], opens: [22] } } });
  /** The configuration with a value at a path. */
  const at = (path: readonly string[], value: unknown): string => {
    const config = base();
    let place = config;
    // What it must have beside the key that is tried.
    if (path[0] === 'fleet' && path.length > 1) config['fleet'] = { name: 'a', engine: 'unix:/a' };
    for (const name of path.slice(0, -1)) {
      place[name] ??= {};
      place = place[name] as { [key: string]: unknown };
    }
    place[path[path.length - 1] ?? ''] = value;
    return stringify(config);
  };
  interface Option {
    readonly name: string;
    readonly path: readonly string[];
    readonly fallback: Default | undefined;
  }
  const optionsOf = (shape: Shape, prefix: readonly string[]): Option[] =>
    Object.entries(shape).flatMap(([key, { shape: below, fallback }]) => {
      const path = [...prefix, key];
      return [
        { name: path.join('.'), path, fallback },
        ...(below === undefined ? [] : optionsOf(below, path)),
      ];
    });
  const options = [...optionsOf(root.shape ?? {}, []), ...optionsOf(door.shape ?? {}, ['doors', 'ssh'])];

  it.each(options)('that $name is not just anything', ({ path }) => {
    for (const value of [{ x: 1 }, [[1]], [{ x: 1 }], '?!', -1, 99_999_999_999, 1.25e-7])
      expect(compare(at(path, value)), JSON.stringify(value)).toBe('both refuse');
  });

  it.each(options)('that $name may have its default', ({ name, path, fallback }) => {
    if (fallback !== undefined && name !== 'doors.ssh.knock')
      expect(compare(at(path, fallback))).toBe('both accept');
  });

  it.each([
    ['an unknown key', { ...base(), door: {} }],
    ['an unknown key of a door', { doors: { ssh: { knock: [1], open: [22] } } }],
    ['a door with no way in', { doors: { ssh: { opens: [22] } } }],
    ['a door with two ways in', { doors: { ssh: { knock: [1], one_time: '/x', opens: [22] } } }],
    ['dnat without forward', { doors: { ssh: { knock: [1], opens: [22], dnat: true } } }],
    ['a name for a door', { doors: { 'S S': { knock: [1], opens: [22] } } }],
    ['no doors', { decoys: [23] }],
    ['nothing to watch', { doors: {} }],
    ['an answer to what is queued', { ...base(), answer: 'closed' }],
    ['port 0', { doors: { ssh: { knock: [0], opens: [22] } } }],
    ['port 65536', { doors: { ssh: { knock: ['65536/tcp'], opens: [22] } } }],
    ['a range as a knock', { doors: { ssh: { knock: ['1-2/tcp'], opens: [22] } } }],
    ['a command that is no path', { doors: { ssh: { knock: [1], opens: [22], on_open: ['notify'] } } }],
    ['an unknown placeholder', { doors: { ssh: { knock: [1], opens: [22], on_open: ['/n', '%HOST%'] } } }],
    ['a member without a name', { ...base(), fleet: { engine: 'unix:/a' } }],
    ['a member without an engine', { ...base(), fleet: { name: 'a' } }],
    ['a door that is told', { ...base(), fleet: { name: 'a', engine: 'unix:/a', share: ['ssh'] } }],
    ['no list', []],
  ])('in refusing %s', (_, config) => {
    expect(compare(stringify(config))).toBe('both refuse');
  });
});
