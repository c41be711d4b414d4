#!/usr/bin/env node
import { Command } from 'commander';
import { commandOf } from './definition.ts';
import { withCommandAsOne } from './knock/argv.ts';
import { KNOCK } from './knock-definition.ts';
import { start } from './start.ts';

/*
 * `nfknock-client`: `nfknock knock` as a program of its own, for machines on which nothing else of nfknock is. It is
 * bundled into one file (rolldown.client.mjs), and has nothing in it that only Linux has.
 */

const NAME = 'nfknock-client';

await start(
  (finish) => {
    const root = new Command(NAME)
      .description('Knocks at the doors of nfknock. Without the word "knock", it is meant.')
      // Put in where this is bundled.
      .version(process.env['NFKNOCK_CLIENT_VERSION'] ?? 'not built')
      .enablePositionalOptions()
      .exitOverride()
      .showHelpAfterError(`(${NAME} knock --help explains it)`);
    const example = KNOCK.example.replace('nfknock', NAME);
    root.addCommand(commandOf(root, { ...KNOCK, example }, finish), { isDefault: true });
    return root;
  },
  withCommandAsOne(process.argv.slice(2)),
);
