import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, test } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { needRestart, RESTART_KEYS, settingAt } from '../../../src/config/restart.ts';
import type { Config } from '../../../src/policy/config.ts';

const DOOR = 'doors: { ssh: { knock: [7000], opens: [22] } }\n';

function config(text: string): Config {
  const parsed = parseConfig(DOOR + text, 'f.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

it.each(RESTART_KEYS)('%s is a setting of the configuration', (key) => {
  expect(settingAt(config(''), key)).not.toBeUndefined();
});

it.each([
  ['', []],
  ['log: { max_size: 10MB }', []],
  ['log: { level: debug, files: 6 }', ['log.level', 'log.files']],
  ['log: { max_size: 1GB }', ['log.max_size']],
  ['state: /x\ncontrol: /y\nmetrics: 127.0.0.1:1', ['state', 'control', 'metrics']],
  ['decoys: all\nlisten: { group: 6 }\nbans: { for: 1h }\nmemory: { sources: 7 }', []],
])('a change to "%s" needs a restart for %j', (text, keys) => {
  expect(needRestart(config(''), config(text))).toEqual(keys);
});

test('docs/operations.md names what takes a restart', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/operations.md'), 'utf8');
  const said = /([^.;]*)\s+take a restart/.exec(page)?.[1] ?? '';
  const names = [...said.matchAll(/`(\w+)`/g)].map(([, name]) => name);
  expect(names).toEqual([...new Set(RESTART_KEYS.map((key) => key.split('.')[0]))]);
});
