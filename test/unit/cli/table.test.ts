import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leftInWords, lengthInWords, utcTime } from '../../../src/cli/output/durations.ts';
import { fitted, folded, formatTable, widthOf } from '../../../src/cli/output/table.ts';

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

  it('where there is no room keeps addresses whole, folds a reason and leaves out what can be missed', () => {
    const address = '2001:db8:1111:2222:3333:4444:5555:6666';
    const asked = [
      { title: 'DOOR', least: 8 },
      { title: 'LET IN', least: 15, kind: 'address' },
      { title: 'SINCE', kind: 'optional' },
      { title: 'REASON', kind: 'text', least: 12 },
    ] as const;
    const row = ['ssh', address, '11:59:47', 'ticket 4711 of the help desk'];
    expect(formatTable(asked, [row], 80)).toEqual([
      'DOOR  LET IN                                  SINCE     REASON',
      `ssh   ${address}  11:59:47  ticket 4711 of the help`,
      '                                                        desk',
    ]);
    expect(formatTable(asked, [row], 60)).toEqual([
      'DOOR  LET IN                                  REASON',
      `ssh   ${address}  ticket 4711 of`,
      '                                              the help desk',
    ]);
    expect(formatTable(asked, [row], 40)).toEqual([
      'DOOR  LET IN                REASON',
      'ssh   2001:db8:1111:2222:…  ticket 4711',
      '                            of the help',
      '                            desk',
    ]);
  });

  it('of any shape is never wider than the terminal, and no word of a text is lost', () => {
    const word = fc.stringMatching(/^[a-z]{1,6}$/);
    const kinds = [
      { title: 'A', least: 15, kind: 'address' },
      { title: 'B', kind: 'optional' },
      { title: 'C', kind: 'text', least: 12 },
    ] as const;
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), fc.integer({ min: 30, max: 120 }), (words, width) => {
        const lines = formatTable(kinds, [['192.0.2.1', 'x', words.join(' ')]], width);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(lines.slice(1).join(' ').trim().split(/ +/).slice(-words.length)).toEqual(words);
      }),
    );
  });

  it.each([
    ['packets   none yet', 40, 10, ['packets   none yet']],
    ['  fix: free the disk', 12, 8, ['  fix: free', '        the', '        disk']],
    ['aaaaaaaaaa b', 4, 1, ['aaaa', ' aaa', ' aaa', ' b']],
    ['日本語', 3, 0, ['日', '本', '語']],
    ['', 4, 0, ['']],
  ])('folds %j into %i cells', (text, width, indent, lines) => {
    expect(folded(text, width, indent)).toEqual(lines);
  });

  it('shows what it may not print', () => {
    const lines = formatTable(columns, [['\u001b[2J\u202e\u0000', '', '']], null);
    expect(lines[1]).toContain('\\u001b[2J\\u202e\\u0000');
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
