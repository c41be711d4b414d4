import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { COUNTERMEASURES, type Countermeasure } from './countermeasure.ts';

/*
 * without.js [WORD]: takes each countermeasure (whose name has the word in it) out of a copy of the tree, and runs the
 * test that is to notice. Ends with 1 where a test passes all the same. Those of the kernel need root.
 */

const [, , word = ''] = argv;
const root = process.cwd();
const copy = mkdtempSync(join(tmpdir(), 'nfknock-without-'));

try {
  copyTree();
  let unnoticed = 0;
  for (const one of COUNTERMEASURES.filter(({ name }) => name.includes(word))) {
    const before = run(one);
    const after = before === 0 ? taken(one, () => run(one)) : undefined;
    const says = before !== 0 ? 'FAILS WITH IT TOO' : after === 0 ? 'NOT NOTICED' : 'noticed';
    if (says !== 'noticed') unnoticed += 1;
    console.log(`${says}: ${one.name} (${one.test}: ${one.of})`);
  }
  process.exitCode = unnoticed === 0 ? 0 : 1;
} finally {
  rmSync(copy, { recursive: true, force: true });
}

/** The tree with its packages, of which the native one is the copy's own. */
function copyTree(): void {
  for (const name of readdirSync(root)) {
    if (!/^(\.git|node_modules|dist|out)$/.test(name))
      cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  mkdirSync(join(copy, 'node_modules/@nfknock'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== '@nfknock') symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name));
  }
  symlinkSync('../../native', join(copy, 'node_modules/@nfknock/nfqueue'));
}

/** Calls with the countermeasure out, and puts it back. */
function taken<Result>({ name, file, from, to }: Countermeasure, call: () => Result): Result {
  const path = join(copy, file);
  const code = readFileSync(path, 'utf8');
  if (code.split(from).length !== 2) throw new Error(`${name}: ${file} has it not once: ${from}`);
  try {
    writeFileSync(
      path,
      code.replace(from, () => to),
    );
    return call();
  } finally {
    writeFileSync(path, code);
  }
}

function run({ file, test, of }: Countermeasure): number {
  const project = /^test\/(unit|property|attacks\/engine)\//.test(test) ? 'unit' : 'kernel';
  if (project === 'kernel') build(file.startsWith('native'));
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--project', project, test, '-t', of];
  return spawnSync(execPath, args, { cwd: copy, stdio: 'ignore' }).status ?? 1;
}

function build(native: boolean): void {
  const quiet = { cwd: copy, stdio: 'ignore' } as const;
  if (native) execFileSync(execPath, ['build.js'], { ...quiet, cwd: join(copy, 'native') });
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], quiet);
  execFileSync(join(root, 'node_modules/.bin/rolldown'), ['-c', '--log-level', 'warn'], quiet);
}
