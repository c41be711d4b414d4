import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { applied, type Mutant, mutantsOf, mutantText } from './mutant.ts';

// Changes the engine and the packet room one small thing at a time, in a copy of the tree, and says which of the
// changes no test notices. docs/exploration.md says how to run it.

const ROOMS = ['src/engine', 'src/packet'];
/** Files of types alone, and files that only speak to people. */
const SKIPPED = /^(event|order|settings|packet|outcome|time)\.js$/;
/** What the unit tests read, some of them the documents too. */
const COPIED = [
  'src',
  'test',
  'native',
  'docs',
  'examples',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];
const UNIT_TESTS = [
  'test/unit/engine/',
  'test/unit/attacks/',
  'test/unit/source/pcap.test.ts',
  'test/unit/config/parse.test.ts',
  'test/property/reference-laws.test.ts',
  'test/property/reference-decode.test.ts',
];
/** A mutant that has not ended by then never will. */
const CHECK_MS_MAX = 120_000;
const UNIT_MS_MAX = 300_000;

interface Candidate {
  readonly file: string;
  readonly code: string;
  readonly mutant: Mutant;
}

const [, , sample = '200', seed = '1', only = ''] = argv;
const root = process.cwd();
const copy = mkdtempSync(join(tmpdir(), 'nfknock-mutate-'));

try {
  compileCopy();
  const all = candidates();
  const chosen = pick(all, Number(sample), Number(seed));
  console.log(`${all.length} mutants, ${chosen.length} tried (seed ${seed})`);
  if (check(join(copy, 'out')) !== 0 || unit() !== 0) throw new Error('the tests fail without any mutant');
  const survivors = chosen.filter((one, index) => {
    const killed = isKilled(one);
    console.log(
      `${index + 1} ${killed ? 'killed' : 'SURVIVED'} ${one.file}:${mutantText(one.code, one.mutant)}`,
    );
    return !killed;
  });
  const killed = chosen.length - survivors.length;
  console.log(`killed ${killed} of ${chosen.length}: ${((100 * killed) / chosen.length).toFixed(1)} %`);
  for (const one of survivors) console.log(`survived: ${one.file}:${mutantText(one.code, one.mutant)}`);
} finally {
  rmSync(copy, { recursive: true, force: true });
}

/** A copy of the tree, and beside it the compiled code that is going to be mutated. */
function compileCopy(): void {
  for (const name of COPIED) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const config = {
    extends: './tsconfig.json',
    compilerOptions: {
      noEmit: false,
      allowImportingTsExtensions: false,
      declaration: false,
      isolatedDeclarations: false,
      removeComments: true,
      rootDir: '.',
      outDir: 'out',
    },
    files: ['test/property/mutate-check.ts'],
    include: ROOMS,
  };
  writeFileSync(join(copy, 'mutate.json'), JSON.stringify(config));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(copy, 'mutate.json')], { stdio: 'inherit' });
}

function candidates(): readonly Candidate[] {
  return ROOMS.flatMap((room) => {
    const names = readdirSync(join(copy, 'out', room)).filter(
      (name) => name.endsWith('.js') && !SKIPPED.test(name),
    );
    return names.flatMap((name) => {
      const file = join(room, name);
      if (!file.includes(only)) return [];
      const code = readFileSync(join(copy, 'out', file), 'utf8');
      return mutantsOf(code).map((mutant) => ({ file, code, mutant }));
    });
  });
}

/** So many of them, the same ones for the same seed. */
function pick(all: readonly Candidate[], count: number, from: number): readonly Candidate[] {
  let state = from;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const keyed = all.map((one) => [next(), one] as const).sort(([x], [y]) => x - y);
  return keyed.slice(0, count).map(([, one]) => one);
}

/** First the reference, which is quick to notice; then, for what it does not notice, the unit tests. */
function isKilled({ file, code, mutant }: Candidate): boolean {
  const mutated = applied(code, mutant);
  const compiled = join(copy, 'out', file);
  const source = join(copy, file.replace(/\.js$/, '.ts'));
  const original = readFileSync(source, 'utf8');
  try {
    writeFileSync(compiled, mutated);
    if (check(join(copy, 'out')) !== 0) return true;
    writeFileSync(source, mutated.replace(/(from '\.[^']*)\.js'/g, "$1.ts'"));
    return unit() !== 0;
  } finally {
    writeFileSync(compiled, code);
    writeFileSync(source, original);
  }
}

function check(out: string): number {
  const script = join(out, 'test/property/mutate-check.js');
  return spawnSync(execPath, [script], { stdio: 'ignore', timeout: CHECK_MS_MAX }).status ?? 1;
}

function unit(): number {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--project', 'unit', '--bail', '1', ...UNIT_TESTS];
  return spawnSync(execPath, args, { cwd: copy, stdio: 'ignore', timeout: UNIT_MS_MAX }).status ?? 1;
}
