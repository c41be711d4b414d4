import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { settingsOf } from '../../../src/config/settings.ts';
import { observationsOf } from '../../../src/machine/observations.ts';
import { NO_ONE_TIME } from '../../../src/policy/port-roles.ts';
import { runScans } from '../../../src/strength/scans.ts';
import { warnings } from '../../../src/strength/warnings.ts';

const README = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');

it('the first configuration of README is strong on a machine whose policy is ACCEPT', {
  timeout: 60_000,
}, () => {
  const text = /## A first configuration[\s\S]*?```yaml\n([\s\S]*?)```/.exec(README)?.[1] ?? '';
  const parsed = parseConfig(text, 'README.md');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const { config } = parsed;
  expect(warnings(config)).toEqual([]);
  const machine = { interfaces: [], inputDefaults: { 4: 'ACCEPT', 6: 'ACCEPT' }, listeners: [] } as const;
  expect(observationsOf(config, machine, NO_ONE_TIME)).toEqual([]);
  for (const scans of runScans(
    settingsOf(config, () => []),
    500,
  ).values())
    for (const { opened, banned, scans: count } of Object.values(scans))
      expect({ opened, banned }).toEqual({ opened: 0, banned: count });
});
