import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const PAGE = join(ROOT, 'docs/threat-model.md');
const HEAD = '| attack | countermeasure | shown by |\n| --- | --- | --- |\n';
/** What a test shows, on the lines above it: `// Against: …` and `// by: …`, each going on where a line was too long. */
const PAIR = /^( *)\/\/ Against: ((?:(?!\/\/ by:).|\n)*?)\n\1\/\/ by: (.*(?:\n\1\/\/ (?!Against: ).*)*)\n/gm;

/** An attack, what keeps it out, and the test that fails without it. */
export interface Threat {
  readonly attack: string;
  readonly countermeasure: string;
  /** From the root of the tree. */
  readonly file: string;
  readonly test: string;
}

/** Every threat that a test names, by file and as they stand there. Throws where no test follows. */
export function threats(): readonly Threat[] {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file}`)
    .sort();
  return files.flatMap((file) => threatsOf(readFileSync(join(ROOT, file), 'utf8'), file));
}

/** The page, with its table made anew: it is the page's last part. */
export function threatModel(): string {
  const page = readFileSync(PAGE, 'utf8');
  const at = page.indexOf(HEAD);
  if (at < 0) throw new Error(`${PAGE} has no table of threats`);
  const rows = threats().map(
    ({ attack, countermeasure, file, test }) => `| ${attack} | ${countermeasure} | \`${file}\`: ${test} |\n`,
  );
  return page.slice(0, at) + HEAD + rows.join('');
}

/** For the tests; `file` is only handed on. */
export function threatsOf(source: string, file: string): readonly Threat[] {
  return [...source.matchAll(PAIR)].map((pair) => {
    const [all, indent = '', attack = '', countermeasure = ''] = pair;
    return {
      attack: oneLine(attack),
      countermeasure: oneLine(countermeasure),
      file,
      test: nameAfter(source.slice(pair.index + all.length), indent, file),
    };
  });
}

/** The comment without its marks. */
function oneLine(comment: string): string {
  return comment.replaceAll(/\n *\/\/ /g, ' ');
}

/** The name of the test that comes next: on a line as far in, what is called with a text first. */
function nameAfter(source: string, indent: string, file: string): string {
  const called = new RegExp(`^${indent}\\S.*?\\(\\s*(['"\`])((?:\\\\.|(?!\\1)[^])*?)\\1,`, 'm');
  const name = called.exec(source)?.[2];
  if (name === undefined) throw new Error(`${file} names a threat, and no test follows`);
  return name.replaceAll(/\\(['"`])/g, '$1').replaceAll('|', '\\|');
}
