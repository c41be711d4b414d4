import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readLine } from '../../../src/log/entry.ts';
import { globMatches, matches, type Wanted } from '../../../src/log/filter.ts';
import { formatLine } from '../../../src/log/line.ts';
import { renderForeign, renderLine } from '../../../src/log/sentence.ts';
import { createSplitter } from '../../../src/log/split.ts';
import { createTail, type TailOptions } from '../../../src/log/tail.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { anyEvent } from './samples.ts';

const ALL: Wanted = { event: undefined, source: undefined, door: undefined };
const OPENED =
  '{"time":"2026-11-21T06:40:00.123Z","level":"info","event":"door.opened","source":"198.51.100.7","door":"ssh","ports":["22/tcp"],"until":"2026-11-21T06:40:30.123Z"}';
const BANNED =
  '{"time":"2026-11-21T06:41:00.000Z","level":"warn","event":"ban.added","source":"2001:db8::/64","reason":"strikes","until":"2026-11-21T06:51:00.000Z","strikes":3,"count":2}';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const ACTS_ON_TERMINAL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

function printed(lines: readonly string[], options: Partial<TailOptions> = {}): string[] {
  const tail = createTail({ wanted: ALL, output: 'text', colour: 'plain', last: undefined, ...options });
  return [...tail.take(lines), ...tail.caughtUp()];
}

describe('tail words a line for people', () => {
  test('in columns, with a sentence at the end', () => {
    expect(printed([OPENED, BANNED])).toEqual([
      '2026-11-21 06:40:00.123  info   door.opened        198.51.100.7     opened door ssh (22/tcp) until 2026-11-21 06:40:30.123',
      '2026-11-21 06:41:00.000  warn   ban.added          2001:db8::/64    banned until 2026-11-21 06:51:00.000 after 3 strikes, ban number 2',
    ]);
  });

  test.each([
    [
      '{"event":"knock.accepted","source":"a","door":"ssh","port":"7000/tcp","step":1,"of":3}',
      'door ssh: knocked 7000/tcp, step 1 of 3',
    ],
    [
      '{"event":"knock.wrong","port":"9/tcp","reason":"out of order","door":"ssh","step":1,"of":3,"strikes":1}',
      'wrong knock on 9/tcp at door ssh (step 1 of 3): out of order, strike 1',
    ],
    ['{"event":"decoy.hit","port":"23/tcp","strikes":2}', 'touched decoy 23/tcp, strike 2'],
    [
      '{"event":"decoy.hit","port":"22/tcp","reason":"service"}',
      'touched the service 22/tcp without a grant',
    ],
    ['{"event":"scan.detected","port":"23/tcp","reason":"xmas"}', 'xmas scan of 23/tcp'],
    ['{"event":"ban.added","reason":"order","shadow":true,"count":1}', 'would be banned (by hand)'],
    ['{"event":"ban.extended","reason":"order","count":1}', 'ban extended (by hand)'],
    [
      '{"event":"door.closed","door":"web","ports":["80/tcp","443/tcp"],"grantee":"any","reason":"expired"}',
      'closed door web (80/tcp, 443/tcp) to everyone (expired)',
    ],
    [
      '{"event":"queue.overflow","count":17,"reason":"the queue was full"}',
      '17 packets lost (dropped, not let in): the queue was full',
    ],
    [
      '{"event":"log.suppressed","of_event":"decoy.hit","count":980}',
      '980 more lines of decoy.hit not written',
    ],
    ['{"event":"door.painted","door":"ssh","count":3}', 'door=ssh count=3'],
  ])('%s as "%s"', (fields, sentence) => {
    const [line = ''] = printed([fields.replace('{', '{"time":"2026-11-21T06:40:00.000Z",')]);
    expect(line.endsWith(`  ${sentence}`)).toBe(true);
  });

  test('of every event, and none acts on the terminal', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const line = readLine(formatLine(event, (at) => at));
        if (line === undefined) throw new Error('our own line was not read');
        const text = renderLine(line, 'plain');
        expect(text).not.toMatch(ACTS_ON_TERMINAL);
        if (line.reason === undefined) expect(text).not.toMatch(/undefined|\[object|\?/);
      }),
    );
  });

  test("in this machine's own time where that is wanted", () => {
    const zone = process.env['TZ'];
    try {
      process.env['TZ'] = 'Asia/Kathmandu';
      const line = readLine(BANNED.replace('06:51', '20:00'));
      const text = renderLine(line ?? expect.unreachable(), 'plain', 'local');
      const shift = 5 * 3_600_000 + 45 * 60_000;
      const local = (iso: string): string =>
        new Date(Date.parse(iso) + shift).toISOString().replace('T', ' ').slice(0, -1);
      expect(text.startsWith(`${local(line?.time ?? '')}  `)).toBe(true);
      expect(text).toContain('until 2026-11-22 01:45:00.000');
    } finally {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
  });

  test('in colour where it is wanted, and in none where it is not', () => {
    const line = readLine(BANNED) ?? expect.unreachable();
    expect(renderLine(line, 'coloured')).toContain('\u001b[33mwarn \u001b[0m');
    expect(renderLine(line, 'plain')).not.toContain('\u001b');
  });
});

describe('tail of lines that are not ours', () => {
  test('prints them with everything escaped that a terminal acts on', () => {
    expect(printed(['kernel: \u001b[2J\u009bboo\tx'])).toEqual(['kernel: \\u001b[2J\\u009bboo\\u0009x']);
  });

  test('prints a half-written line as it is, and goes on with the next', () => {
    expect(printed(['{"time":"2026-11-2', OPENED])).toEqual([
      '{"time":"2026-11-2',
      expect.stringContaining('opened door ssh'),
    ]);
  });

  test('leaves them out where something is filtered for, and where JSON is wanted', () => {
    expect(printed(['noise', OPENED], { wanted: { ...ALL, door: 'ssh' } })).toHaveLength(1);
    expect(printed(['noise', '[1]', 'null', '{}', OPENED], { output: 'json' })).toEqual([OPENED]);
  });

  test('never fails, whatever the bytes are', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 60 }),
            fc.json().map((text) => Buffer.from(`${text}\n`)),
          ),
        ),
        (chunks) => {
          const splitter = createSplitter(50);
          const lines = chunks.flatMap((chunk) => splitter.push(chunk));
          for (const line of printed([...lines, splitter.end() ?? '']))
            expect(line).not.toMatch(ACTS_ON_TERMINAL);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('believes no field of a wrong type', () => {
    const line = readLine(
      '{"time":"x","event":"door.opened","door":{"a":1},"ports":[1],"step":"1","__proto__":{"count":1}}',
    );
    expect(line).toEqual({ time: 'x', event: 'door.opened' });
    expect(renderForeign('\u0007', 'coloured')).toBe('\u001b[2m\\u0007\u001b[0m');
  });
});

describe('tail --json', () => {
  test('passes matching lines through unchanged, unknown fields and odd spacing included', () => {
    const odd = '  {"event" : "ban.added",  "time":"t", "extra": [1, 2] }\r';
    expect(printed([odd, OPENED], { output: 'json', wanted: { ...ALL, event: 'ban.*' } })).toEqual([odd]);
  });
});

// Against: a log file with bytes that act on a terminal, given to `tail --json`
// by: escaped, as everywhere
test('tail --json lets nothing of a hostile file through that a terminal acts on, and says the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (reason) => {
      const value = {
        time: 't',
        event: 'ban.added',
        reason: `${reason}\u009b2J\u007f\u202e\u200b\ufeff\u{e0041}`,
      };
      // Only what JSON must escape is escaped; a carriage return may stand between the fields.
      const [line = ''] = printed([JSON.stringify(value).replace(',"event"', ',\r"event"')], {
        output: 'json',
      });
      expect(line).not.toMatch(ACTS_ON_TERMINAL);
      expect(line).not.toMatch(/[\u007f-\u009f\r]|\p{Cf}|\p{Zl}|\p{Zp}/u);
      expect(JSON.parse(line)).toEqual(value);
    }),
  );
});

describe('tail -n', () => {
  const many = Array.from({ length: 5000 }, (_, index) => OPENED.replace('"ssh"', `"d${index}"`));

  test('begins with the last matching lines, and then prints what comes', () => {
    const tail = createTail({ wanted: { ...ALL, door: 'd7' }, output: 'json', colour: 'plain', last: 2 });
    expect(tail.take([...many, many[7] ?? '', ...many])).toEqual([]);
    expect(tail.caughtUp()).toEqual([many[7], many[7]]);
    expect(tail.take([many[7] ?? '', many[8] ?? ''])).toEqual([many[7]]);
    expect(tail.caughtUp()).toEqual([]);
  });

  test('0 prints only what comes', () => {
    const tail = createTail({ wanted: ALL, output: 'json', colour: 'plain', last: 0 });
    expect([...tail.take(many), ...tail.caughtUp()]).toEqual([]);
    expect(tail.take([OPENED])).toEqual([OPENED]);
  });

  test('of a long log holds little more than it was asked for', () => {
    expect(printed(many, { output: 'json', last: 3 })).toEqual(many.slice(-3));
  });
});

describe('tail filters', () => {
  const opened = readLine(OPENED) ?? expect.unreachable();
  const banned = readLine(BANNED) ?? expect.unreachable();

  test.each([
    ['door.opened', true],
    ['door.*', true],
    ['*', true],
    ['d?or.*ed', true],
    ['ban.*, door.*', true],
    ['ban.*', false],
    ['door', false],
    ['door.opened.', false],
    ['Door.*', false],
  ])('by event: %s matches door.opened: %s', (glob, expected) => {
    expect(matches({ ...ALL, event: glob }, opened)).toBe(expected);
  });

  test.each([
    ['198.51.100.7', true],
    ['198.51.100.0/24', true],
    ['0.0.0.0/0', true],
    ['198.51.100.8', false],
    ['::/0', false],
  ])('by source: 198.51.100.7 is in %s: %s', (cidr, expected) => {
    expect(matches({ ...ALL, source: parseCidr(cidr) }, opened)).toBe(expected);
  });

  test('by source: a ban of a /64 is shown for each host in it, and a line without a source for none', () => {
    expect(matches({ ...ALL, source: parseCidr('2001:db8::7') }, banned)).toBe(true);
    expect(matches({ ...ALL, source: parseCidr('2001:db8:1::7') }, banned)).toBe(false);
    expect(matches({ ...ALL, source: parseCidr('0.0.0.0/0') }, { time: 't', event: 'daemon.ready' })).toBe(
      false,
    );
  });

  test('by glob: a pattern made to be slow is not', () => {
    const started = performance.now();
    expect(globMatches(`${'a*'.repeat(50)}b`, 'a'.repeat(60_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('cutting bytes into lines', () => {
  test('gives the same lines however the bytes come', () => {
    const text = `${OPENED}\nzwölf Boxkämpfer\n\n${BANNED}\nlast`;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const bytes = Buffer.from(text);
        const splitter = createSplitter();
        const lines: string[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          lines.push(...splitter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        lines.push(splitter.end() ?? '');
        expect(lines.join('\n')).toBe(text);
      }),
    );
  });

  test('cuts a line that never ends, and begins anew after it', () => {
    const splitter = createSplitter(8);
    expect(splitter.push(Buffer.from('0123456789'))).toEqual([]);
    expect(splitter.push(Buffer.from('more'.repeat(1000)))).toEqual([]);
    expect(splitter.push(Buffer.from('\nnext\n'))).toEqual(['01234567', 'next']);
  });
});
