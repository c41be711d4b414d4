import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { messages } from '../../../scripts/messages.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Words of our own that have a standard one: nowhere in code, documents and names of tests. */
const NOWHERE: readonly (readonly [word: RegExp, instead: string])[] = [
  [/\bmend(s|ed|ing)?\b/i, 'fix'],
  [/\bvigil/i, 'supervisor'],
  [/\bobey\b/, 'execute'],
  [/\bmeddl/i, 'external changes; tamper'],
  [/\bunsaid\b|\bunsay/i, 'unannounced'],
  [/\b(create)?recall\b/i, 'packet history'],
  [/\bwitness(es)?\b/i, 'canary'],
  [/\bdeeds?\b/i, 'change'],
  [/\bgifts?\b/i, 'grant'],
  [/\buseUp\b/, 'consume'],
  [/\bunderWay\b/, 'in progress'],
  [/\bpassed over\b/, 'skipped'],
  [/\bmade no sense\b/, 'unreadable; skipped'],
  [/\bOrderAnswer\b|\bengine\.order\(/, 'Command, execute'],
  [/LET IN|ASKED BY|PART-WAY/, 'GRANTED TO, REQUESTED BY, PROGRESS'],
  [/\bchainsApart\b|\bwriteApart\b|\bheldGrants\b|\bheldBans\b|\bHeld\b/, 'rewrite set rules; read back'],
];

/** In what people read: besides, no turns of our own for things and users. */
const NOT_IN_MESSAGES: readonly (readonly [word: RegExp, instead: string])[] = [
  [/\bwhoever\b/i, 'anyone who, or what is meant'],
  [/\bso many\b/i, 'the number'],
  [/\bhim\b|\bhis\b/i, 'the user, their'],
  [/\bis sound\b/i, 'weak, fair or strong'],
  [/\bis no (valid )?sequence/i, 'is not a valid sequence'],
  [/\b(is|are|be|also) (lay|laid)\b/i, 'install, installed'],
  [/someone else changed/i, "another program changed nfknock's rules"],
  [/\bmade no sense\b|\bpassed over\b/i, 'unreadable; skipped'],
];

/** Where a word must stand, and why. */
const ALLOWED: readonly (readonly [file: string, word: RegExp, why: string])[] = [
  ['test/unit/docs/words.test.ts', /./, 'the words themselves'],
  ['test/property/', /passed over/, 'says what a mutant does, in tests of the tests'],
  ['test/reference/', /passed over/, 'a second reading of the rules, in words of its own on purpose'],
  ['test/unit/', /passed over/, 'names of tests on frames and blocks of captures that are not read'],
  ['test/unit/cli/table.test.ts', /LET IN/, 'a table made for the test'],
];

function allowed(file: string, text: string): boolean {
  return ALLOWED.some(([where, word]) => file.startsWith(where) && word.test(text));
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|md)$/.test(file) && !/corpus|fixtures/.test(file))
    .map((file) => join(folder, file));
}

it('no word of our own stands where the field has one', () => {
  const files = [
    ...['src', 'docs', 'test', 'scripts'].flatMap(filesOf),
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'],
  ];
  expect(files.length).toBeGreaterThan(500);
  const found = files.flatMap((file) => {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
    return lines.flatMap((line, index) =>
      NOWHERE.filter(([word]) => word.test(line) && !allowed(file, line)).map(
        ([word, instead]) => `${file}:${index + 1}: ${word.exec(line)?.[0]}; write ${instead}`,
      ),
    );
  });
  expect(found).toEqual([]);
});

it('no message has a turn of our own', () => {
  const found = messages().flatMap(({ file, text }) =>
    NOT_IN_MESSAGES.filter(([word]) => word.test(text)).map(
      ([, instead]) => `src/${file}: ${text}; write ${instead}`,
    ),
  );
  expect(found).toEqual([]);
});

it('every exception is still needed', () => {
  const needless = ALLOWED.filter(([where, word]) => {
    const files = ['test', 'src', 'docs'].flatMap(filesOf).filter((file) => file.startsWith(where));
    return !files.some((file) => word.test(readFileSync(join(ROOT, file), 'utf8')));
  });
  expect(needless).toEqual([]);
});
