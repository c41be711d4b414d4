import { fuzz, TARGETS } from './targets.ts';

/* main.js [SEED [CASES [TARGET]]]: CASES 0 is each target's own long run. */

const [seedText = `${Date.now() % 1_000_000}`, casesText = '0', only] = process.argv.slice(2);
const seed = Number(seedText);
const wanted = Number(casesText);
const targets = TARGETS.filter(({ name }) => only === undefined || name === only);
if (!Number.isInteger(seed) || !Number.isInteger(wanted) || wanted < 0 || targets.length === 0) {
  process.stderr.write(
    `SEED and CASES are numbers; TARGET is one of: ${TARGETS.map(({ name }) => name).join(', ')}\n`,
  );
  process.exitCode = 2;
} else {
  for (const target of targets) {
    const began = performance.now();
    const { kept, cases, outcomes } = fuzz(target, wanted === 0 ? target.long : wanted, seed);
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    process.stdout.write(
      `${target.name}: ${kept} kept, ${cases} cases, seed ${seed}, ${seconds} s: ${JSON.stringify(outcomes)}\n`,
    );
  }
}
