import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { door } from '../../../src/config/door.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/doors.md'), 'utf8');
const EXAMPLES = [...PAGE.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
  .map(([, text = '']) => text)
  .filter((text) => !text.startsWith('# docker-compose'));

describe('every example in docs/doors.md', () => {
  test('is there', () => expect(EXAMPLES.length).toBeGreaterThan(15));

  test.each(EXAMPLES)('is a configuration as it stands: %s', (text) => {
    expect(parseConfig(text, 'doors.md')).toMatchObject({ ok: true });
  });
});

test('docs/doors.md names every key of a door', () => {
  const names = Object.keys(door.shape ?? {});
  expect(names.length).toBeGreaterThan(14);
  for (const name of names) expect(PAGE, name).toMatch(new RegExp(`\\b${name}\\b`));
});
