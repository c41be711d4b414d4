import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatSize, parseSize } from '../../../src/config/size.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import type { Config } from '../../../src/policy/config.ts';

function config(text: string): Config {
  const parsed = parseConfig(text, 'f.yaml');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.config;
}

describe('A configuration', () => {
  it('of one door has a default for everything else', () => {
    // A key that is added is held by the manual, whose defaults are compared, and by the round trip of all keys.
    expect(config('doors: { ssh: { knock: [7000, 8000/udp], opens: [22] } }')).toMatchObject({
      listen: { source: 'nfqueue', queues: { first: 7219, last: 7219 }, group: 5, interfaces: [] },
      doors: [
        {
          name: 'ssh',
          knock: [
            { protocol: 'tcp', port: 7000 },
            { protocol: 'udp', port: 8000 },
          ],
          within: null,
          gap: { min: 0, max: 8000 },
          tolerate: 0,
          flags: { set: 2, clear: 21 },
          opens: [{ protocol: 'tcp', first: 22, last: 22 }],
          for: 30_000,
          close: [],
          uses: null,
          holders: null,
          grant: 'source',
          forward: null,
          grantMark: null,
          onOpen: null,
          onClose: null,
        },
      ],
      decoys: [],
      allow: [],
      answer: 'drop',
      accept: 'auto',
      bans: {
        strikes: 3,
        within: 60_000,
        for: 600_000,
        escalate: 2,
        max: 604_800_000,
        rate: { packets: 20, per: 1000 },
        never: [],
        strikeOnService: false,
        enforce: true,
        scope: 'all',
        cut: false,
        limit: 262_144,
      },
      grants: 'rule',
      memory: { sources: 262_144 },
      state: '/var/lib/nfknock/state.db',
      control: '/run/nfknock/control.sock',
      log: { level: 'info', file: null, maxSize: 10 * 1024 * 1024, files: 5 },
      metrics: null,
    });
  });

  it('takes every key', () => {
    const all = config(`
listen: { source: nflog, queues: 2-3, group: 7, interfaces: [eth0, wg+] }
doors:
  web:
    one_time: /var/lib/nfknock/web
    within: 20s
    gap: { min: 50ms, max: 4s }
    tolerate: 2
    flags: "syn, ! urg"
    opens: [80, 6000-6100/udp]
    for: 5m
    close: [9/tcp, 8/udp]
    uses: 4
    holders: 1
    grant: 2001:db8::/32
    forward: 2001:db8::5
    dnat: true
    grant_mark: 0x4e46
    on_open: [/bin/a, "%IP%", 7]
    on_close: [/bin/b]
decoys: all
allow: [443/tcp]
bans: { strikes: 1, within: 5m, for: 1h, escalate: 1.5, max: 1d, rate: { packets: 5, per: 2s }, never: [192.0.2.0/24], strike_on_service: true, enforce: false, scope: hidden, cut: true, limit: 10 }
grants: set
memory: { sources: 10 }
state: /a
control: /b
log: { level: debug, file: /c, max_size: 1GB, files: 1 }
metrics: "[::1]:1"
`);
    const [web] = all.doors;
    expect(web).toMatchObject({
      knock: { oneTime: '/var/lib/nfknock/web' },
      gap: { min: 50, max: 4000 },
      flags: { set: 2, clear: 53 },
      uses: 4,
      holders: 1,
      grant: { bits: 32 },
      forward: { dnat: true, to: { bits: 128 } },
      grantMark: 0x4e46,
      onOpen: ['/bin/a', '%IP%', '7'],
      onClose: ['/bin/b'],
    });
    expect(all).toMatchObject({
      listen: { source: 'nflog', queues: { first: 2, last: 3 }, group: 7, interfaces: ['eth0', 'wg+'] },
      decoys: 'all',
      bans: { escalate: 1.5, enforce: false, scope: 'hidden', limit: 10, rate: { packets: 5, per: 2000 } },
      log: { level: 'debug', file: '/c', maxSize: 1024 ** 3, files: 1 },
      metrics: '[::1]:1',
    });
  });

  it('takes the path of a Unix socket for metrics with `unix:` before it, or without', () => {
    for (const text of ['unix:/run/m.sock', '/run/m.sock'])
      expect(config(`doors: { a: { knock: [1, 2], opens: [3] } }\nmetrics: ${text}\n`).metrics).toBe(
        '/run/m.sock',
      );
  });

  it('keeps its doors in the order of the file, whatever their names', () => {
    const text = 'doors:\n  "10": { knock: [1, 2] }\n  b: { knock: [3, 4] }\n  9: { knock: [5, 6] }\n';
    expect(config(text).doors.map(({ name }) => name)).toEqual(['10', 'b', '9']);
  });

  it.each([
    ['3s', 3000],
    ['8s', 8000],
    ['10s', 8000],
    ['1m', 30_000],
    ['null', 8000],
  ])('with within %s lets %d ms pass between two knocks unless gap.max says otherwise', (within, gap) => {
    expect(config(`doors: { a: { knock: [1, 2], within: ${within} } }`).doors[0]?.gap.max).toBe(gap);
  });

  it('whose bans are longer than the default of max has no ban shorter than that', () => {
    expect(config('doors: {}\ndecoys: all\nbans: { for: 20d }').bans.max).toBe(20 * 86_400_000);
  });

  it('may have a service with a knock port behind it, and an allowed port as a knock', () => {
    const [a, b] = config(
      'doors:\n  a: { knock: [80, 2], opens: [22] }\n  b: { knock: [5, 6], opens: [2/tcp] }\nallow: [80]\n',
    ).doors;
    expect([a?.name, b?.name]).toEqual(['a', 'b']);
  });
});

describe('A time', () => {
  it.each([
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['0', 0],
    ['0ms', 0],
    ['2147483s', 2_147_483_000],
  ])('%s is %d milliseconds', (text, value) => {
    expect(parseDuration(text)).toBe(value);
  });
  it.each(['', '10', 's', '1.5s', '-1s', '1h30m', '10S', '10 s', '2147484s', '99999999999s', '1e3s', '٣s'])(
    '%s is none',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
  it('is written in the largest unit that holds it whole', () => {
    expect(
      [0, 250, 1000, 90_000, 3_600_000, 86_400_000, 1500].map((value) => formatDuration(milliseconds(value))),
    ).toEqual(['0ms', '250ms', '1s', '90s', '1h', '1d', '1500ms']);
  });
});

describe('A size', () => {
  it('counts in steps of 1024, as logrotate does', () => {
    expect(['512B', '64kB', '64KB', '10MB', '2GB', '10 MB'].map(parseSize)).toEqual([
      512, 65_536, 65_536, 10_485_760, 2_147_483_648, 10_485_760,
    ]);
    expect(['', '10', 'MB', '1.5MB', '10mb', '-1MB'].map(parseSize)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([512, 65_536, 10_485_760, 1025].map(formatSize)).toEqual(['512B', '64kB', '10MB', '1025B']);
  });
});
