import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { openLogger } from '../../../src/log/logger.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import type { LogSettings } from '../../../src/policy/config.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nfknock-logger-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const wallOf = (at: number): number => 1_700_000_000_000 + at;
const settings = (name: string, level: LogSettings['level'] = 'info'): LogSettings => ({
  level,
  file: join(directory, name),
  maxSize: 1_000_000,
  files: 2,
});
const numbered = (count: number): NfknockEvent => ({
  event: 'queue.overflow',
  at: milliseconds(count),
  reason: 'queue',
  count,
});

describe('the event log', () => {
  test('has every line on disk, in order, when it has closed', async () => {
    const logger = openLogger(settings('many.log'));
    for (let index = 0; index < 5000; index++) logger.log(numbered(index), wallOf);
    await logger.close();
    const lines = readFileSync(join(directory, 'many.log'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { count: number }).count)).toEqual(
      Array.from({ length: 5000 }, (_, i) => i),
    );
  });

  test('has every line on disk when it has been flushed', async () => {
    const logger = openLogger(settings('flush.log'));
    logger.log(numbered(1), wallOf);
    await logger.flush();
    expect(readFileSync(join(directory, 'flush.log'), 'utf8')).toMatch(/^\{.*"count":1\}\n$/);
    logger.log(numbered(2), wallOf);
    await logger.flush();
    expect(readFileSync(join(directory, 'flush.log'), 'utf8').split('\n')).toHaveLength(3);
    await logger.close();
  });

  test.each([
    ['debug', ['packet.malformed', 'daemon.reloaded', 'queue.overflow', 'config.rejected']],
    ['info', ['daemon.reloaded', 'queue.overflow', 'config.rejected']],
    ['warn', ['queue.overflow', 'config.rejected']],
    ['error', ['config.rejected']],
  ] as const)('at level %s has %j', async (level, expected) => {
    const logger = openLogger(settings(`${level}.log`, level));
    const at = milliseconds(0);
    logger.log({ event: 'packet.malformed', at, reason: 'version' }, wallOf);
    logger.log({ event: 'daemon.reloaded', at }, wallOf);
    logger.log(numbered(1), wallOf);
    logger.log({ event: 'config.rejected', at, reason: 'x' }, wallOf);
    await logger.close();
    const lines = readFileSync(join(directory, `${level}.log`), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(expected);
  });

  test('takes no line after it has closed, and closes twice without harm', async () => {
    const logger = openLogger(settings('closed.log'));
    logger.log(numbered(1), wallOf);
    await Promise.all([logger.close(), logger.close()]);
    logger.log(numbered(2), wallOf);
    await logger.close();
    expect(readFileSync(join(directory, 'closed.log'), 'utf8').split('\n')).toHaveLength(2);
  });
});
