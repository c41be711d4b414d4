import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, env, execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { EQUIVALENT } from './equivalent.ts';
import { type Mutant, mutantsOf, mutantText } from './mutant.ts';
import type { Tried } from './mutate-run.ts';

// Changes the engine, the packet room and the room of keys one small thing at a time, in a copy of the tree, and says which of the
// changes no test notices. docs/exploration.md says how to run it.

const ROOMS = ['src/engine', 'src/packet', 'src/spa'];
/** Files of types alone. */
const SKIPPED = /^(event|command|settings|packet|outcome|time|key|proof|used-once)\.js$/;
/** Tests that judge packets and can be called without waiting; the reference comes in besides. */
const TESTS = [
  'test/property/reference-laws.test.ts',
  'test/property/reference-decode.test.ts',
  'test/attacks/engine/flood.test.ts',
  'test/attacks/engine/guessing.test.ts',
  'test/attacks/engine/packets.test.ts',
  'test/attacks/engine/same-address.test.ts',
  'test/attacks/engine/time.test.ts',
  'test/unit/config/parse.test.ts',
  'test/unit/source/pcap.test.ts',
];
const TEST_FOLDERS = ['test/unit/engine', 'test/unit/packet', 'test/unit/spa'];
/** A mutant about which nothing has been said by then is taken for one that never ends, in milliseconds. */
const SILENCE_MAX = 900_000;

interface Candidate {
  readonly file: string;
  readonly mutant: Mutant;
  /** The line, before and after. */
  readonly text: string;
}

const [, , sample = '200', seed = '1', only = ''] = argv;
/** A file with what an earlier run said: only those that it calls survivors are tried. */
const { MUTATE_AGAIN } = env;
const root = process.cwd();
const copy = mkdtempSync(join(tmpdir(), 'nfknock-mutate-'));
const out = join(copy, 'out');

try {
  compile();
  const all = candidates();
  const fair = all.filter(({ file, text }) => !isEquivalent(file, text));
  const chosen = pick(fair, Number(sample), Number(seed));
  console.log(
    `${all.length} mutants, ${all.length - fair.length} of them equivalent, ${chosen.length} tried`,
  );
  writeFileSync(join(copy, 'chosen.json'), JSON.stringify(chosen));
  const results: Tried[] = [];
  while (results.length < chosen.length) await tryFrom(chosen, results);
  tell(chosen, results);
} finally {
  rmSync(copy, { recursive: true, force: true });
}

function compile(): void {
  for (const name of ['src', 'test', 'native', 'examples', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const inFolders = TEST_FOLDERS.flatMap((folder) =>
    readdirSync(join(copy, folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(folder, name)),
  );
  const tests = [...TESTS, ...inFolders];
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
    files: [...tests, 'test/property/explore.ts', 'test/property/explore-world.ts'],
    include: ROOMS,
  };
  writeFileSync(join(copy, 'mutate.json'), JSON.stringify(config));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(copy, 'mutate.json')], { stdio: 'inherit' });
  const compiled = tests.map((path) => path.replace(/\.ts$/, '.js'));
  writeFileSync(join(out, 'tests.json'), JSON.stringify(compiled));
}

function candidates(): readonly Candidate[] {
  const earlier = MUTATE_AGAIN === undefined ? undefined : readFileSync(MUTATE_AGAIN, 'utf8');
  return ROOMS.flatMap((room) => {
    const names = readdirSync(join(out, room)).filter((name) => name.endsWith('.js') && !SKIPPED.test(name));
    return names.flatMap((name) => {
      const file = join(room, name);
      if (!file.includes(only)) return [];
      const code = readFileSync(join(out, file), 'utf8');
      return mutantsOf(code).map((mutant) => ({ file, mutant, text: mutantText(code, mutant) }));
    });
  }).filter(({ file, text }) => earlier === undefined || earlier.includes(`SURVIVED ${file}:${text}\n`));
}

/** Said without the line's number, which moves whenever something above it changes. */
function isEquivalent(file: string, text: string): boolean {
  const changed = text.replace(/^\d+: /, '');
  return EQUIVALENT.some(({ mutants }) =>
    mutants[file]?.some((one) => changed === one || changed.startsWith(`${one}  →  `)),
  );
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

/** Tries the rest in a process of its own, until all are tried or one of them has taken the process with it. */
async function tryFrom(chosen: readonly Candidate[], results: Tried[]): Promise<void> {
  const script = join(import.meta.dirname, 'mutate-run.js');
  const from = results.length;
  const child = spawn(execPath, [script, out, join(copy, 'chosen.json'), `${from}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let watch: NodeJS.Timeout | undefined;
  const listen = (): void => {
    clearTimeout(watch);
    watch = setTimeout(() => child.kill('SIGKILL'), SILENCE_MAX);
  };
  const note = (tried: Tried): void => {
    results.push(tried);
    const one = chosen[tried.index];
    if (one === undefined) return;
    const what = tried.by === undefined ? 'SURVIVED' : 'killed';
    console.log(`${tried.index + 1} ${what} ${one.file}:${one.text}`);
    if (tried.by !== undefined) console.log(`    in ${tried.ms} ms by ${tried.by}`);
  };
  listen();
  for await (const line of createInterface({ input: child.stdout })) {
    listen();
    // What a test says of itself comes in between.
    if (line.startsWith('{')) note(JSON.parse(line) as Tried);
  }
  clearTimeout(watch);
  if (results.length === from && from === 0) throw new Error('the tests fail without any mutant');
  if (results.length < chosen.length)
    note({ index: results.length, by: 'ending the process', ms: SILENCE_MAX });
}

function tell(chosen: readonly Candidate[], results: readonly Tried[]): void {
  const files = [...new Set(chosen.map(({ file }) => file))].sort();
  const row = (name: string, wanted: (file: string) => boolean): void => {
    const own = results.filter(({ index }) => wanted(chosen[index]?.file ?? ''));
    const killed = own.filter(({ by }) => by !== undefined).length;
    console.log(`| ${name} | ${own.length} | ${killed} | ${((100 * killed) / own.length).toFixed(1)} % |`);
  };
  console.log('| file | mutants | killed | share |\n| --- | --- | --- | --- |');
  for (const file of files) row(file, (one) => one === file);
  row('all', () => true);
}
