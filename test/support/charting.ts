import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'node_modules/.cache/nfknock-charting');
const MADE_OF = [
  'rolldown.charting.mjs',
  'src/report/charting.ts',
  'node_modules/echarts/package.json',
  'node_modules/rolldown/package.json',
];

/** The charting library of a report, as `npm run build` makes it; made once for all test files. */
export function chartLibrary(): string {
  const hash = createHash('sha256');
  for (const file of MADE_OF) hash.update(readFileSync(join(ROOT, file)));
  const place = join(CACHE, `${hash.digest('hex').slice(0, 24)}.js`);
  if (!existsSync(place)) build(place);
  return readFileSync(place, 'utf8');
}

function build(place: string): void {
  mkdirSync(CACHE, { recursive: true });
  const making = mkdtempSync(join(CACHE, 'making-'));
  const bundler = [
    join(ROOT, 'node_modules/rolldown/bin/cli.mjs'),
    '-c',
    join(ROOT, 'rolldown.charting.mjs'),
  ];
  execFileSync(process.execPath, bundler, { cwd: making, stdio: 'pipe' });
  renameSync(join(making, 'dist/report/charting.min.js'), place);
  rmSync(making, { recursive: true });
}
