import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { COUNTERMEASURES } from '../../property/countermeasure.ts';

const ROOT = join(import.meta.dirname, '../../..');
const MODEL = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8');
/** The rows whose last cell is `file`: name of a test. */
const ROWS = [...MODEL.matchAll(/^\| ([^|]+) \| [^|]+ \| `(test\/[^`]+)`: ([^|]+) \|$/gm)].map(
  ([, attack = '', file = '', name = '']) => ({ attack, file, name }),
);

/** The text of a test file with its quotes as they read. */
const plain = (file: string): string => readFileSync(join(ROOT, file), 'utf8').replaceAll("\\'", "'");

it('the threat model names tests for its countermeasures', () => {
  expect(ROWS.length).toBeGreaterThan(40);
  expect(ROWS.length).toBe(MODEL.split('\n').filter((line) => /`test\/.*` ?: /.test(line)).length);
});

it.each(ROWS)('against “$attack” the threat model names a test that is there', ({ file, name }) => {
  expect(existsSync(join(ROOT, file))).toBe(true);
  const quoted = [`'${name}'`, `\`${name}\``, `"${name}"`];
  expect(quoted.some((text) => plain(file).includes(text))).toBe(true);
});

it.each(COUNTERMEASURES)(
  'that “$name” can be taken out where it is said to be',
  ({ file, from, test, of }) => {
    expect(readFileSync(join(ROOT, file), 'utf8').split(from)).toHaveLength(2);
    expect(plain(test).includes(of)).toBe(true);
  },
);
