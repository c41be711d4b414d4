import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, cpuUsage, stderr, stdout } from 'node:process';
import { runInThisContext } from 'node:vm';
import fc from 'fast-check';
import type { Move } from '../reference/move.ts';
import { applied, type Mutant } from './mutant.ts';
import { openProgram, type Program } from './mutate-program.ts';
import { createGathering, type Gathering, type WrittenTest } from './mutate-vitest.ts';

/*
 * mutate-run.js FOLDER CHOSEN FIRST: tries the mutants of the file CHOSEN from the given one on, and writes a line for
 * each: its number, the test that noticed it or nothing, and the milliseconds that it took. All in one process: a
 * mutant is noticed in a tenth of a second, where starting the tests' own runner would take ten seconds.
 */

export interface Chosen {
  readonly file: string;
  readonly mutant: Mutant;
}

export interface Tried {
  readonly index: number;
  /** Why it is known to be there: a test's name; undefined: nothing noticed it. */
  readonly by: string | undefined;
  readonly ms: number;
}

/** Random histories held against what the reference said of them once, and how many a test is made of. */
const HISTORIES = 400;
const HISTORIES_A_TEST = 25;
const WALK_TRANSITIONS = 200;
const SEED = 11;
/** A test that takes so much longer than without a mutant, in the processor's time, never ends. */
const SLOWER_MAX = 8;
const TEST_MS_MIN = 1_500;
/** Some of the tests' files make their cases while they are loaded. */
const LOADING_MS_MAX = 5_000;
const LATE = 'ERR_SCRIPT_EXECUTION_TIMEOUT';

interface Recorded {
  readonly settings: Parameters<typeof import('../reference/compare.ts').engineJudge>[0];
  readonly history: readonly Move[];
  readonly expected: readonly string[];
}

const [, , folder = '', chosenPath = '', first = '0'] = argv;
const chosen = JSON.parse(readFileSync(chosenPath, 'utf8')) as readonly Chosen[];
fc.configureGlobal({ seed: SEED, endOnFailure: true });
const gathering = await createGathering();
const base = await openProgram(folder, new Map([['vitest', gathering.stand]]));
const files = testFiles();
const recorded = record();
/** What each test took without a mutant, and how many mutants it has noticed, in all and by file. */
const usual = new Map<string, number>();
const noticed = new Map<string, number>();
await measure();
for (const [index, one] of chosen.entries()) {
  if (index < Number(first)) continue;
  const began = performance.now();
  const by = killer(one);
  const tried: Tried = { index, by, ms: Math.round(performance.now() - began) };
  stdout.write(`${JSON.stringify(tried)}\n`);
}

function testFiles(): readonly string[] {
  const listed = readFileSync(join(folder, 'tests.json'), 'utf8');
  return JSON.parse(listed) as readonly string[];
}

/** What the reference says of random histories. */
function record(): readonly Recorded[] {
  const { historyOf, intent } = base.module(
    'test/reference/arbitrary-history.js',
  ) as typeof import('../reference/arbitrary-history.ts');
  const { settings } = base.module(
    'test/reference/arbitrary-settings.js',
  ) as typeof import('../reference/arbitrary-settings.ts');
  const { modelJudge } = compareOf(base);
  const samples = [0, 4].flatMap((commands) =>
    fc.sample(
      fc.tuple(settings, fc.array(intent(commands), { minLength: 1, maxLength: 60, size: 'max' })),
      HISTORIES / 2,
    ),
  );
  return samples.map(([config, intents]) => {
    const history = historyOf(config, intents);
    const judge = modelJudge(config);
    return { settings: config, history, expected: history.map((move) => judge.play(move).join('\n')) };
  });
}

function compareOf(program: Program): typeof import('../reference/compare.ts') {
  return program.module('test/reference/compare.js') as typeof import('../reference/compare.ts');
}

/** Every test that a change of `file` can reach, of the program with that change in it; all, without a file. */
function testsOf(program: Program, file?: string): readonly WrittenTest[] {
  const histories = Array.from({ length: HISTORIES / HISTORIES_A_TEST }, (_, block) => ({
    name: `random histories ${block + 1}`,
    run: () => judgeAll(program, recorded.slice(block * HISTORIES_A_TEST, (block + 1) * HISTORIES_A_TEST)),
  }));
  const walks = () => {
    const { explore } = program.module('test/property/explore.js') as typeof import('./explore.ts');
    const { WORLDS } = program.module(
      'test/property/explore-world.js',
    ) as typeof import('./explore-world.ts');
    return WORLDS.map((world) => ({
      name: `short histories in a world of ${world.name}`,
      run: () => {
        if (explore(world, WALK_TRANSITIONS).disagreement !== undefined) throw new Error('disagreement');
      },
    }));
  };
  const reaches = (path: string): boolean => file === undefined || program.depends(path, file);
  return [
    ...(reaches('test/reference/compare.js') ? [...histories, ...walks()] : []),
    ...files.filter(reaches).flatMap((path) => written(program, path)),
  ];
}

function written(program: Program, path: string): readonly WrittenTest[] {
  program.module(path);
  return (gathering as Gathering).take().map(({ name, run }) => ({ name: `${path}: ${name}`, run }));
}

function judgeAll(program: Program, all: readonly Recorded[]): void {
  const { engineJudge } = compareOf(program);
  for (const { settings, history, expected } of all) {
    const judge = engineJudge(settings);
    for (const [index, move] of history.entries()) {
      if (judge.play(move).join('\n') !== expected[index]) throw new Error('disagreement');
    }
  }
}

/** Every test without a mutant, twice: the second time tells what it takes. */
async function measure(): Promise<void> {
  for (let round = 0; round < 2; round += 1) {
    const program = await openProgram(folder, new Map([['vitest', gathering.stand]]));
    for (const { name, run } of testsOf(program)) {
      const began = worked();
      if (run() instanceof Promise) throw new Error(`${name}: can't be waited for here`);
      usual.set(name, worked() - began);
    }
  }
  const slowest = [...usual].sort(([, x], [, y]) => y - x).slice(0, 12);
  if (first === '0') stderr.write(`${usual.size} tests; the slowest: ${JSON.stringify(slowest)}\n`);
}

/** The test that notices the mutant: those that have noticed most in the least time are tried first. */
function killer({ file, mutant }: Chosen): string | undefined {
  const code = readFileSync(join(folder, file), 'utf8');
  let all: readonly WrittenTest[];
  try {
    all = bounded(() => testsOf(base.changed(file, applied(code, mutant)), file), LOADING_MS_MAX);
  } catch {
    return 'being loaded';
  }
  const worth = ({ name }: WrittenTest): number =>
    (1 + 5 * (noticed.get(name) ?? 0) + 50 * (noticed.get(`${file} ${name}`) ?? 0)) /
    (1 + (usual.get(name) ?? 1_000));
  const ordered = all.map((test) => [worth(test), test] as const).sort(([x], [y]) => y - x);
  for (const [, { name, run }] of ordered) {
    try {
      bounded(run, Math.max(TEST_MS_MIN, SLOWER_MAX * (usual.get(name) ?? 0)));
    } catch {
      for (const key of [name, `${file} ${name}`]) noticed.set(key, (noticed.get(key) ?? 0) + 1);
      return name;
    }
  }
  return undefined;
}

/**
 * Calls what may never return; throws where it takes longer. What counts is the processor's time: on a busy machine a
 * test may stand still for seconds, and a mutant that was only unlucky must not be taken for noticed.
 */
function bounded<Result>(call: () => Result, msMax: number): Result {
  Reflect.set(globalThis, 'called', call);
  for (let patience = 1; ; patience *= 2) {
    const began = worked();
    try {
      return runInThisContext('called()', { timeout: Math.ceil(msMax * patience) }) as Result;
    } catch (error) {
      const isLate = error instanceof Error && 'code' in error && error.code === LATE;
      if (!isLate || worked() - began >= msMax) throw error;
    }
  }
}

/** The processor's time that this process has had, in milliseconds. */
function worked(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1_000;
}
