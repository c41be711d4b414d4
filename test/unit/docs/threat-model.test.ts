import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { threatModel, threats, threatsOf } from '../../../scripts/threats.ts';
import { COUNTERMEASURES } from '../../property/countermeasure.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** The text of a test file with its quotes as they read. */
const plain = (file: string): string => readFileSync(join(ROOT, file), 'utf8').replaceAll("\\'", "'");

it('the table of threats is made from the tests, and none is named twice', async () => {
  const attacks = threats().map(({ attack }) => attack);
  expect(attacks.length).toBeGreaterThan(150);
  expect(new Set(attacks).size).toBe(attacks.length);
  await expect(threatModel()).toMatchFileSnapshot(join(ROOT, 'docs/threat-model.md'));
});

it('each mark of a threat in the tests is read', () => {
  const marks = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('docs/threat-model.test.ts'))
    .flatMap((file) => plain(join('test', file)).split('\n'))
    .filter((line) => /^\s*\/\/ (?:Against|by): /.test(line));
  expect(marks).toHaveLength(2 * threats().length);
});

describe('a threat is read from the lines above a test', () => {
  const marks = '  // Against: a flood\n  // of packets\n  // by: a bound,\n  // and another\n';
  it.each([
    ['plain', "  it('ends nothing', () => {});\n"],
    ['with its name on the next line', "  it(\n    'ends nothing',\n    () => {},\n  );\n"],
    ['of several cases', "  it.each([\n    ['a, ', 1],\n    f('b', 2),\n  ])('ends nothing', () => {});\n"],
    ['of cases in one line', "  it.each(['a', 'b'])('ends nothing', () => {});\n"],
  ])('%s', (_, test) => {
    expect(threatsOf(`${marks}${test}`, 'a.test.ts')).toEqual([
      {
        attack: 'a flood of packets',
        countermeasure: 'a bound, and another',
        file: 'a.test.ts',
        test: 'ends nothing',
      },
    ]);
  });

  it('and two of one test are two', () => {
    const both = `${marks}  // Against: a scan\n  // by: a ban\n  it('holds', () => {});\n`;
    expect(threatsOf(both, 'a.test.ts').map(({ attack, test }) => [attack, test])).toEqual([
      ['a flood of packets', 'holds'],
      ['a scan', 'holds'],
    ]);
  });

  it('and one with no test is an error', () => {
    expect(() => threatsOf(marks, 'a.test.ts')).toThrow('a.test.ts names a threat, and no test follows');
  });
});

it.each(COUNTERMEASURES)(
  'that “$name” can be taken out where it is said to be',
  ({ file, from, test, of }) => {
    expect(readFileSync(join(ROOT, file), 'utf8').split(from)).toHaveLength(2);
    expect(plain(test).includes(of)).toBe(true);
  },
);
