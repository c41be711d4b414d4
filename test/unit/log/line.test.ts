import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { CATALOGUE } from '../../../src/log/catalogue.ts';
import { formatLine, lineOf, REASON_LENGTH_MAX } from '../../../src/log/line.ts';
import { type Address, parseAddress } from '../../../src/packet/address.ts';
import { hostCidr, offenderOf, parseCidr } from '../../../src/packet/cidr.ts';
import { parsePort, parsePortRange } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { anyEvent } from './samples.ts';

const START = Date.UTC(2026, 10, 21, 6, 40, 0);
const wallOf = (at: number): number => START + at;
const at = milliseconds(123);

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}
function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the test names something that can not be read');
  return value;
}

const source = address('198.51.100.7');
const opened: NfknockEvent = {
  event: 'door.opened',
  at,
  source,
  door: 'ssh',
  ports: [must(parsePortRange('22/tcp'))],
  grantee: hostCidr(source),
  until: milliseconds(30_123),
};

const TREACHEROUS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

describe('a line of the log', () => {
  test('is what the manual shows, field by field', () => {
    expect(formatLine(opened, wallOf)).toBe(
      '{"time":"2026-11-21T06:40:00.123Z","level":"info","event":"door.opened","source":"198.51.100.7","door":"ssh","ports":["22/tcp"],"until":"2026-11-21T06:40:30.123Z"}',
    );
  });

  test('names who is let in only where it is not the source itself', () => {
    expect(lineOf({ ...opened, grantee: 'any' }, wallOf).grantee).toBe('any');
    expect(lineOf({ ...opened, grantee: must(parseCidr('192.0.2.0/24')) }, wallOf).grantee).toBe(
      '192.0.2.0/24',
    );
    expect(lineOf(opened, wallOf)).not.toHaveProperty('grantee');
  });

  test('of a knock says port, step and how many steps there are', () => {
    const knock: NfknockEvent = {
      event: 'knock.accepted',
      at,
      source,
      door: 'ssh',
      port: must(parsePort('7000/tcp')),
      step: 1,
      of: 3,
    };
    expect(formatLine(knock, wallOf)).toBe(
      '{"time":"2026-11-21T06:40:00.123Z","level":"info","event":"knock.accepted","source":"198.51.100.7","door":"ssh","port":"7000/tcp","step":1,"of":3}',
    );
  });

  test('of a ban gives an IPv4 host as its address and an IPv6 host as its /64', () => {
    const ban = (host: string): NfknockEvent => ({
      event: 'ban.expired',
      at,
      target: offenderOf(address(host)),
    });
    expect(lineOf(ban('203.0.113.9'), wallOf).source).toBe('203.0.113.9');
    expect(lineOf(ban('2001:db8::1:2:3:4'), wallOf).source).toBe('2001:db8::/64');
  });

  test('carries no newline, no control character and nothing that turns text around, whatever a reason holds', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        expect(formatLine(event, wallOf)).not.toMatch(TREACHEROUS);
      }),
      { numRuns: 1000 },
    );
  });

  test('reads back as exactly the fields that the catalogue lists, in the order time, level, event', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const line = JSON.parse(formatLine(event, wallOf)) as Record<string, unknown>;
        const { fields, level } = CATALOGUE[event.event];
        expect(Object.keys(line).slice(0, 3)).toEqual(['time', 'level', 'event']);
        expect(line['level']).toBe(level);
        const rest = Object.keys(line).slice(3);
        expect(rest.filter((field) => !(field in fields))).toEqual([]);
        for (const [field, presence] of Object.entries(fields))
          if (presence === 'always') expect(rest).toContain(field);
      }),
      { numRuns: 1000 },
    );
  });

  test('loses nothing of a reason by escaping it', () => {
    const reason = 'exit 1: \u001b[31m\u009b2J\u202e "quoted" \\ ü 🚪\u2028';
    const line = formatLine({ event: 'command.failed', at, door: 'ssh', reason }, wallOf);
    expect((JSON.parse(line) as { reason: string }).reason).toBe(reason);
  });

  test('cuts a reason that is too long, and says so with an ellipsis', () => {
    const { reason } = lineOf({ event: 'command.output', at, door: 'ssh', reason: 'x'.repeat(5000) }, wallOf);
    expect(reason).toHaveLength(REASON_LENGTH_MAX);
    expect(reason).toMatch(/x…$/);
  });

  test('is written even when the wall clock is wrong by aeons', () => {
    for (const wall of [Number.NaN, -1e20, 1e20, Number.POSITIVE_INFINITY]) {
      expect(lineOf(opened, () => wall).time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });
});
