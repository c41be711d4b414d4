import { type Kept, keptOf, readCorpus, writeCorpus } from './corpus.ts';
import { openCoverage } from './coverage.ts';
import { randomOf } from './random.ts';
import type { Target } from './target.ts';
import { another, TARGETS } from './targets.ts';

/*
 * grow.js SEED CASES [TARGET]: looks for inputs that run a part of the program that no kept one runs, and keeps them in
 * test/fuzz/corpus. Kept ones that add nothing to shorter ones are dropped.
 */

/** Asking what has run takes some milliseconds, so it is asked for so many inputs at once. */
const TOGETHER = 64;
/** Longer ones would make the corpus large, and each case slow. */
const KEPT_BYTES_MAX = 32 * 1024;

interface Grown {
  readonly corpus: readonly Kept[];
  /** Characters of the program's text that ran. */
  readonly ran: number;
}

function grow(target: Target, cases: number, seed: number): Grown {
  const random = randomOf(seed);
  const attempt = target.start(random);
  const coverage = openCoverage('/dist/fuzz/src/');
  const corpus: Kept[] = [];
  const keepIfNew = (bytes: Buffer): void => {
    attempt.take(bytes);
    const ran = coverage.ran();
    if (!coverage.isNew(ran)) return;
    coverage.learn(ran);
    if (bytes.length <= KEPT_BYTES_MAX) corpus.push(keptOf(bytes));
  };

  coverage.ran();
  const old = readCorpus(target.name).sort((one, other) => one.bytes.length - other.bytes.length);
  for (const { bytes } of old) keepIfNew(bytes);
  for (let tried = 0; tried < cases; tried += TOGETHER) {
    const inputs = Array.from({ length: TOGETHER }, () => another(attempt, corpus, random));
    for (const input of inputs) attempt.take(input);
    const ran = coverage.ran();
    if (!coverage.isNew(ran)) continue;
    for (const input of inputs) keepIfNew(input);
    // Some of it ran only because of what came before: that is not looked for again.
    coverage.learn(ran);
  }
  coverage.close();
  attempt.close();
  return { corpus, ran: coverage.size() };
}

const [seedText = '1', casesText = '100000', only] = process.argv.slice(2);
for (const target of TARGETS.filter(({ name }) => only === undefined || name === only)) {
  const { corpus, ran } = grow(target, Number(casesText), Number(seedText));
  writeCorpus(target.name, corpus);
  process.stdout.write(`${target.name}: ${corpus.length} kept; ${ran} characters of the program ran\n`);
}
