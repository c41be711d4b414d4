#!/usr/bin/env node
import { fstatSync, readFileSync } from 'node:fs';
import { shipped } from '../files/shipped.ts';
import { writeWhole } from '../files/write.ts';
import { messageOf } from '../text/error.ts';
import { EXIT } from './exit.ts';
import { program, usageExit } from './program.ts';

let spoiled = false;
// A reader that goes away (`nfknock bans | head`) is no error of ours, and no full disk behind standard output may
// end the daemon; but anyone who redirected a list must not take half of it for all.
for (const stream of [process.stdout, process.stderr]) {
  if (isFile(stream.fd)) writeWhole(stream);
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    if (!spoiled && stream === process.stdout)
      process.stderr.write(
        `nfknock: standard output can't be written (${error.code}): what is there is not whole\n`,
      );
    spoiled = true;
    process.exitCode = EXIT.failed;
  });
}

const { version } = JSON.parse(readFileSync(shipped('package.json'), 'utf8')) as {
  version: string;
};

try {
  await program(version, (code) => {
    process.exitCode = spoiled && code === EXIT.done ? EXIT.failed : code;
  }).parseAsync();
} catch (error) {
  const usage = usageExit(error);
  if (usage === undefined) {
    const text = messageOf(error);
    process.stderr.write(`nfknock: ${text.replaceAll('\n', ' ')}\n`);
  }
  process.exitCode = usage ?? EXIT.failed;
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}
