import { argv, exit } from 'node:process';
import { runHistory } from './history.ts';

// `npm run fleet:simulate -- --histories N --from SEED`, or `-- --trace SEED` for one history told step by step.
const [histories, from, trace] = ['--histories', '--from', '--trace'].map((name) => {
  const at = argv.indexOf(name);
  return at < 0 ? undefined : Number(argv[at + 1]);
});
if (trace !== undefined) {
  const verdict = runHistory(trace, undefined, (text) => console.log(text));
  console.log(JSON.stringify(verdict, undefined, 2));
  exit(verdict.violations.length > 0 ? 1 : 0);
}
const first = from ?? Date.now() % 1_000_000_000;
let opened = 0;
let failed = 0;
const begun = Date.now();
for (let seed = first; seed < first + (histories ?? 1_000); seed += 1) {
  const verdict = runHistory(seed);
  opened += verdict.opened;
  if (verdict.violations.length === 0) continue;
  failed += 1;
  console.log(`seed ${seed}: ${verdict.violations.slice(0, 3).join('; ')}`);
  if (failed >= 20) break;
}
const seconds = ((Date.now() - begun) / 1_000).toFixed(1);
console.log(
  `seeds ${first} to ${first + (histories ?? 1_000) - 1}: ${failed} violations, ${opened} one-time doors opened, ${seconds} s`,
);
exit(failed > 0 ? 1 : 0);
