import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { chartLibrary } from '../../support/charting.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CACHE = join(ROOT, 'node_modules/.cache/nfknock-built');
/** Builds of sources that have changed since are taken away after so long, in milliseconds. */
const STALE_AFTER = 3_600_000;

/**
 * The folder with the compiled program (`bin/nfknock.js`, `nfknock-client.mjs`, …), built from the sources as they are now: child
 * processes run on a Node that knows no TypeScript. One build serves every test file.
 */
export function built(): string {
  const place = join(CACHE, fingerprint(join(ROOT, 'src')));
  if (!existsSync(place)) build(place);
  return join(place, 'dist');
}

function build(place: string): void {
  mkdirSync(CACHE, { recursive: true });
  for (const old of readdirSync(CACHE)) {
    const path = join(CACHE, old);
    if (Date.now() - statSync(path).mtimeMs > STALE_AFTER) rmSync(path, { recursive: true, force: true });
  }
  const making = mkdtempSync(join(CACHE, 'making-'));
  // Other users run it too, in tests of what they may do.
  chmodSync(making, 0o755);
  copyFileSync(join(ROOT, 'package.json'), join(making, 'package.json'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  try {
    execFileSync(
      process.execPath,
      [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(making, 'dist')],
      { stdio: 'pipe' },
    );
  } catch (error) {
    // Type errors are the business of `npm run check`; only a build without the program is of no use here.
    if (!existsSync(join(making, 'dist/cli/main.js'))) throw error;
  }
  const rolldown = join(ROOT, 'node_modules/rolldown/bin/cli.mjs');
  for (const config of ['rolldown.config.mjs', 'rolldown.client.mjs'])
    execFileSync(process.execPath, [rolldown, '-c', join(ROOT, config)], { cwd: making, stdio: 'pipe' });
  writeFileSync(join(making, 'dist/report/charting.min.js'), chartLibrary());
  try {
    renameSync(making, place);
  } catch {
    // Another test file was faster.
    if (!existsSync(place)) cpSync(making, place, { recursive: true });
    rmSync(making, { recursive: true, force: true });
  }
}

function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const { mtimeMs, size } = statSync(join(folder, name));
    hash.update(`${name} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex').slice(0, 24);
}
