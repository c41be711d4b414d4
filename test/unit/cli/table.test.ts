import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitted, formatTable, printable, widthOf } from '../../../src/cli/table.ts';
import { leftInWords, lengthInWords, utcTime } from '../../../src/cli/words.ts';

const columns = [
  { title: 'DOOR', least: 4 },
  { title: 'LEFT', align: 'right' },
  { title: 'REASON', least: 6 },
] as const;

describe('a table', () => {
  const rows = [
    ['ssh', '9m 30s', 'ticket 4711'],
    ['a-door-with-a-long-name', '28s', ''],
  ];

  it('is as wide as its cells where nothing limits it', () => {
    expect(formatTable(columns, rows, null)).toEqual([
      'DOOR                       LEFT  REASON',
      'ssh                      9m 30s  ticket 4711',
      'a-door-with-a-long-name     28s',
    ]);
  });

  it('cuts the widest column first, and none below its least', () => {
    expect(formatTable(columns, rows, 30)).toEqual([
      'DOOR          LEFT  REASON',
      'ssh         9m 30s  ticket 47…',
      'a-door-wi…     28s',
    ]);
    expect(formatTable(columns, rows, 10)).toEqual(['DOOR    L…', 'ssh   9m …', 'a-d…     …']);
  });

  it('counts cells, not characters', () => {
    expect(formatTable(columns, [['日本語', '1s', 'e\u0301']], null)).toEqual([
      'DOOR    LEFT  REASON',
      '日本語    1s  e\u0301',
    ]);
    expect(fitted('日本語', 5)).toBe('日本…');
    expect(fitted('日本語', 4)).toBe('日…');
    expect(fitted('abc', 0)).toBe('');
  });

  it('never is wider than the terminal and never holds a character that a terminal acts on', () => {
    const cell = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell, cell)), fc.integer({ min: 1, max: 120 }), (cells, width) => {
        for (const line of formatTable(columns, cells, width)) {
          expect(widthOf(line)).toBeLessThanOrEqual(width);
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        }
      }),
    );
  });

  it('shows what it may not print', () => {
    expect(printable('\u001b[2J\u202e\u0000')).toBe('\\u{1b}[2J\\u{202e}\\u{0}');
  });
});

describe('times', () => {
  it.each([
    [0, '0s'],
    [0.2, '1s'],
    [28, '28s'],
    [60, '1m'],
    [570, '9m 30s'],
    [3600, '1h'],
    [3601, '1h'],
    [93_784, '1d 2h'],
    [700_000, '8d 2h'],
    [-5, '0s'],
  ])('%d seconds are said as %s', (seconds, words) => {
    expect(lengthInWords(seconds)).toBe(words);
  });

  it('that have passed are over', () => {
    const now = Date.parse('2026-11-21T06:40:00.000Z');
    expect(leftInWords('2026-11-21T06:40:30.500Z', now)).toBe('31s');
    expect(leftInWords('2026-11-21T06:40:00.000Z', now)).toBe('over');
  });

  it('are UTC, as in the log', () => {
    expect(utcTime('2026-11-21T06:40:30.123Z')).toBe('2026-11-21 06:40:30');
  });
});
