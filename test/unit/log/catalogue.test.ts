import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { markdown, schema } from '../../../scripts/events.ts';
import { EVENT_NAMES } from '../../../src/log/catalogue.ts';
import { formatLine } from '../../../src/log/line.ts';
import { anyNamed } from './samples.ts';

const wallOf = (at: number): number => 1_700_000_000_000 + at;
const line = z.fromJSONSchema(schema() as Parameters<typeof z.fromJSONSchema>[0]);

// `npm run docs` writes these files anew: it runs this test with -u.
describe('the event catalogue', () => {
  test('docs/events.md says what the program does', async () => {
    await expect(markdown()).toMatchFileSnapshot('../../../docs/events.md');
  });

  test('docs/event.schema.json says what the program does', async () => {
    await expect(`${JSON.stringify(schema(), null, 2)}\n`).toMatchFileSnapshot(
      '../../../docs/event.schema.json',
    );
  });

  test.each(EVENT_NAMES)('a line of %s is valid by the schema', (name) => {
    fc.assert(
      fc.property(anyNamed(name), (event) => {
        line.parse(JSON.parse(formatLine(event, wallOf)));
      }),
      { numRuns: 50 },
    );
  });

  test('the schema refuses a line with an unknown field, a wrong level or a missing door', () => {
    const good = {
      time: '2026-11-21T06:40:00.123Z',
      level: 'info',
      event: 'ban.expired',
      source: '203.0.113.9',
    };
    expect(line.safeParse(good).success).toBe(true);
    expect(line.safeParse({ ...good, note: 'x' }).success).toBe(false);
    expect(line.safeParse({ ...good, level: 'error' }).success).toBe(false);
    expect(line.safeParse({ ...good, event: 'door.closed' }).success).toBe(false);
    expect(line.safeParse({ ...good, source: 'host.example' }).success).toBe(false);
  });
});
