import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandPage } from '../../../scripts/man.ts';
import { COMMAND_PAGES, ownPage } from '../../../scripts/man-command.ts';
import { configPage, everyDefault, NOTHING_SAID } from '../../../scripts/man-config.ts';
import { DEFINITIONS } from '../../../src/cli/program.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const ROOT = join(import.meta.dirname, '../../..');
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
const PAGES = [
  ['nfknock.1', commandPage(version)],
  ['nfknock.yaml.5', configPage(version)],
  ...COMMAND_PAGES.map((name) => [`${name}.1`, ownPage(name, version)] as const),
] as const;

// `npm run docs` writes the pages anew: it runs this test with -u.
describe.each(PAGES)('the manual page %s', (name, text) => {
  test('says what the program does', async () => {
    await expect(text).toMatchFileSnapshot(join(ROOT, 'docs/man', name));
  });

  test.runIf(existsSync('/usr/bin/groff'))('is set by groff without a warning', () => {
    const { status, stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], {
      input: text,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});

test('the manual names every command and option of --help', () => {
  const page = commandPage(version).replaceAll('\\-', '-');
  for (const { name, options = [] } of DEFINITIONS) {
    expect(page).toContain(`.SS "nfknock ${name}`);
    for (const { flags } of options) expect(page).toContain(flags);
  }
});

test('the defaults in the manual are the defaults', () => {
  const said = parseConfig(everyDefault(), 'manual');
  const silent = parseConfig(NOTHING_SAID, 'manual');
  expect(said).toEqual(silent);
  expect(said.ok).toBe(true);
});
