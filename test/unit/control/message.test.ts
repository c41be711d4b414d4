import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Request, readRequest, writeRequest } from '../../../src/control/message.ts';

describe('a request', () => {
  it.each<Request>([
    { command: 'status' },
    { command: 'grant', door: 'ssh', address: '198.51.100.7', for: 3_600_000, reason: 'ticket 4711, Zoë' },
    { command: 'grant', door: 'ssh', address: '2001:db8::7' },
    { command: 'revoke', address: '198.51.100.7', door: 'ssh' },
    { command: 'ban', address: '203.0.113.9', for: 1 },
    { command: 'unban', address: '203.0.113.9' },
    { command: 'unban', all: true },
    { command: 'explain', address: '::1' },
    { command: 'subscribe' },
  ])('is read as it was written: %o', (request) => {
    expect(readRequest(writeRequest(7, request))).toEqual({ ok: true, id: 7, request });
  });

  it.each([
    ['', null, 'syntax'],
    ['[1]', null, 'syntax'],
    ['null', null, 'syntax'],
    ['{"v":1,"id":1,"command":"status"', null, 'syntax'],
    ['{"v":1,"command":"status"}', null, 'syntax'],
    ['{"v":1,"id":-1,"command":"status"}', null, 'syntax'],
    ['{"v":1,"id":"1","command":"status"}', null, 'syntax'],
    ['{"id":3,"command":"status"}', 3, 'version'],
    ['{"v":2,"id":3,"command":"status"}', 3, 'version'],
    ['{"v":1,"id":3}', 3, 'unknown command'],
    ['{"v":1,"id":3,"command":"toString"}', 3, 'unknown command'],
    ['{"v":1,"id":3,"command":["status"]}', 3, 'unknown command'],
    ['{"v":1,"id":3,"command":"status","door":"ssh"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"grant","door":"ssh"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"grant","door":"ssh","address":"host.example"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"grant","door":"s\\u001bsh","address":"::1"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"explain","address":"fe80::1%eth0"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"explain","address":"198.51.100.7; reboot"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"ban","address":"203.0.113.9","for":0}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"ban","address":"203.0.113.9","for":1e99}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"ban","address":"203.0.113.9","for":"1h"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"ban","address":"203.0.113.9","for":null}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"ban","address":"0.0.0.0"}', 3, 'bad argument'],
    // Strikes and bans of IPv4 written as IPv6 would be those of ::/64, which nobody has.
    ['{"v":1,"id":3,"command":"ban","address":"::ffff:203.0.113.9"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"grant","door":"ssh","address":"0:0::"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"unban"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"unban","all":true,"address":"203.0.113.9"}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"unban","all":false}', 3, 'bad argument'],
    ['{"v":1,"id":3,"command":"status","__proto__":{"door":1}}', 3, 'bad argument'],
  ])('that is wrong is refused with what to send instead: %s', (line, id, code) => {
    const read = readRequest(line);
    expect(read).toMatchObject({ ok: false, id, error: { code } });
    if (!read.ok) expect(read.error.fix).not.toBe('');
  });

  it('shows what it refuses without a character that a terminal obeys', () => {
    const read = readRequest(JSON.stringify({ v: 1, id: 1, command: 'a\u007f\u009b31m\u202e' }));
    expect(read).toMatchObject({ ok: false, error: { message: 'no command "a\\u007f\\u009b31m\\u202e"' } });
  });

  it.each(['line\nbreak', 'bell\u0007', 'turned \u202e round', 'half \ud800 a pair', '', 'x'.repeat(201)])(
    'takes no reason that a terminal or a log could choke on: %j',
    (reason) => {
      const line = JSON.stringify({ v: 1, id: 1, command: 'grant', door: 'ssh', address: '::1', reason });
      expect(readRequest(line)).toMatchObject({ ok: false, error: { code: 'bad argument' } });
    },
  );

  it('of any kind is answered, and nothing of it comes back unescaped or at length', () => {
    const value = fc.jsonValue();
    const message = fc.record(
      {
        v: fc.constantFrom(1, 2, '1'),
        id: fc.oneof(fc.nat(), value),
        command: fc.oneof(fc.constantFrom('grant', 'ban', 'status'), value),
        door: value,
        address: value,
        for: value,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          message.map((each) => JSON.stringify(each)),
          fc.json(),
        ),
        (line) => {
          const read = readRequest(line);
          if (read.ok) return;
          const said = `${read.error.message} ${read.error.fix}`;
          expect(said.length).toBeLessThan(500);
          expect(said).not.toMatch(/\p{Cc}/u);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
