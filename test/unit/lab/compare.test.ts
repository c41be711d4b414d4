import { describe, expect, test } from 'vitest';
import { compare, type Told } from '../../lab/compare.ts';

const knock = (time: string, fields: object = {}): Told => ({
  time,
  level: 'info',
  event: 'knock.accepted',
  source: '198.51.100.7',
  ...fields,
});

describe('what the daemon said on the wire is held against what a replay says', () => {
  test('the moments may differ: by how much is told', () => {
    const { differences, drift, compared } = compare(
      [knock('2026-11-21T09:00:00.000Z'), knock('2026-11-21T09:00:00.200Z', { step: 2 })],
      [knock('2027-01-01T12:00:00.000Z'), knock('2027-01-01T12:00:00.230Z', { step: 2 })],
    );
    expect(differences).toEqual([]);
    expect(drift).toBe(30);
    expect(compared).toBe(2);
  });

  test('how long a grant is for may not', () => {
    const opened = (time: string, until: string): Told => ({
      time,
      level: 'info',
      event: 'door.opened',
      until,
    });
    const expected = [opened('2026-11-21T09:00:00.000Z', '2026-11-21T09:00:30.000Z')];
    expect(
      compare(expected, [opened('2027-01-01T12:00:00.100Z', '2027-01-01T12:00:30.100Z')]).differences,
    ).toEqual([]);
    expect(
      compare(expected, [opened('2027-01-01T12:00:00.100Z', '2027-01-01T12:00:31.100Z')]).differences,
    ).not.toEqual([]);
  });

  test.each([
    ['an event that is missing', [knock('2026-11-21T09:00:00.000Z')], []],
    ['one too many', [], [knock('2026-11-21T09:00:00.000Z')]],
    [
      'another step',
      [knock('2026-11-21T09:00:00.000Z', { step: 1 })],
      [knock('2026-11-21T09:00:00.000Z', { step: 2 })],
    ],
    [
      'another source',
      [knock('2026-11-21T09:00:00.000Z')],
      [knock('2026-11-21T09:00:00.000Z', { source: '192.0.2.9' })],
    ],
  ])('%s is a difference', (_, expected, found) => {
    expect(compare(expected, found).differences.length).toBeGreaterThan(0);
  });

  test('each source has its own order: a ban is said once it holds, and others go on meanwhile', () => {
    const [first, second] = [
      knock('2026-11-21T09:00:00.000Z', { step: 1 }),
      knock('2026-11-21T09:00:00.000Z', { step: 2 }),
    ];
    const other = knock('2026-11-21T09:00:00.000Z', { source: '192.0.2.9' });
    expect(compare([first, second, other], [other, first, second]).differences).toEqual([]);
    expect(compare([first, second, other], [second, other, first]).differences).not.toEqual([]);
  });

  test('packets that the kernel drops before any rule are not asked for, and that is said', () => {
    const { differences, notes } = compare([{ time: '', event: 'packet.malformed', reason: 'version' }], []);
    expect(differences).toEqual([]);
    expect(notes.join()).toContain('1 broken');
  });

  test('lines that a flood kept from being written are left out on both sides, and that is said', () => {
    const counted: Told = { time: '', event: 'log.suppressed', of_event: 'knock.accepted', count: 5 };
    const { differences, notes } = compare([knock('2026-11-21T09:00:00.000Z'), counted], [counted]);
    expect(differences).toEqual([]);
    expect(notes.join()).toContain('knock.accepted');
  });
});
