#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { shipped } from '../files/shipped.ts';
import { withCommandAsOne } from './knock/argv.ts';
import { KNOCK } from './knock-definition.ts';
import { program } from './program.ts';
import { start } from './start.ts';

const { version } = JSON.parse(readFileSync(shipped('package.json'), 'utf8')) as { version: string };

const given = process.argv.slice(2);
await start(
  (finish) => program(version, finish),
  given.includes(KNOCK.name) ? withCommandAsOne(given) : given,
);
