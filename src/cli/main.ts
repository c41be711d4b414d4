#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { shipped } from '../files/shipped.ts';
import { EXIT } from './exit.ts';
import { program, usageExit } from './program.ts';

// A reader that goes away (`nfknock bans | head`) is no error of ours, and no full disk behind standard output may
// end the daemon.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = EXIT.failed;
  });
}

const { version } = JSON.parse(readFileSync(shipped('package.json'), 'utf8')) as {
  version: string;
};

try {
  await program(version, (code) => {
    process.exitCode = code;
  }).parseAsync();
} catch (error) {
  const usage = usageExit(error);
  if (usage === undefined) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`nfknock: ${text.replaceAll('\n', ' ')}\n`);
  }
  process.exitCode = usage ?? EXIT.failed;
}
