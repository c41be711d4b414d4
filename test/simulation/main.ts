import { availableParallelism } from 'node:os';
import { argv, exit } from 'node:process';
import { Worker } from 'node:worker_threads';
import { runHistory } from './history.ts';
import { createDeal, seedOfDay } from './seeds.ts';
import type { Tried } from './worker.ts';

// `npm run fleet:simulate -- --histories N --from SEED --workers N`, or `-- --trace SEED` for one history told step by
// step. `--from today`: the seeds of the day.

/** So many seeds whose histories do not hold are enough. */
const FAILED_MAX = 20;
/** Histories that a worker is given at once. */
const PIECE = 50;
/** Histories leave little behind: where there is room for what is young, little of it is looked at. */
const YOUNG_MB = 96;

function option(name: string): string | undefined {
  const at = argv.indexOf(name);
  return at < 0 ? undefined : argv[at + 1];
}

function firstSeed(histories: number): number {
  const from = option('--from');
  if (from === 'today') return seedOfDay(Date.now(), histories);
  return from === undefined ? Date.now() % 1_000_000_000 : Number(from);
}

function simulate(): void {
  const histories = Number(option('--histories') ?? 1_000);
  const first = firstSeed(histories);
  const workers = Math.min(
    Number(option('--workers') ?? availableParallelism()),
    Math.ceil(histories / PIECE),
  );
  const deal = createDeal(first, histories, PIECE);
  const begun = Date.now();
  let [tried, opened, failed, working] = [0, 0, 0, workers];
  console.log(`seeds ${first} to ${first + histories - 1}, ${workers} at once`);

  function sum(): void {
    const seconds = ((Date.now() - begun) / 1_000).toFixed(1);
    console.log(`${tried} histories: ${failed} violations, ${opened} one-time doors opened, ${seconds} s`);
    exit(failed > 0 || tried < histories ? 1 : 0);
  }

  function start(): void {
    const worker = new Worker(new URL('worker.js', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    const more = (): void => {
      const piece = failed < FAILED_MAX ? deal.next() : undefined;
      if (piece !== undefined) {
        worker.postMessage(piece);
        return;
      }
      void worker.terminate();
      working -= 1;
      if (working === 0) sum();
    };
    worker.on('message', (said: Tried) => {
      tried += said.tried;
      opened += said.opened;
      failed += said.failed.length;
      for (const { seed, violations } of said.failed)
        console.log(`seed ${seed}: ${violations.slice(0, 3).join('; ')}`);
      more();
    });
    worker.on('error', (error) => {
      console.error(error);
      exit(1);
    });
    more();
  }
  for (let at = 0; at < workers; at += 1) start();
}

const trace = option('--trace');
if (trace === undefined) {
  simulate();
} else {
  const verdict = runHistory(Number(trace), undefined, (text) => console.log(text));
  console.log(JSON.stringify(verdict, undefined, 2));
  exit(verdict.violations.length > 0 ? 1 : 0);
}
