import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { parseConfig } from '../../../src/config/parse.ts';

/** The faults of a text as they are printed. */
function faults(text: string): string[] {
  const parsed = parseConfig(text, 'f.yaml');
  return parsed.ok ? [] : parsed.faults.map(formatFault);
}

/** The faults of one door that is sound but for what is added. */
function door(extra: string, rest = ''): string[] {
  const knock = /(knock|one_time):/.test(extra) ? '' : 'knock: [7000, 8000/udp, 9000], ';
  const opens = extra.includes('opens:') ? '' : 'opens: [22], ';
  return faults(`doors:\n  a: { ${knock}${opens}${extra} }\n${rest}`);
}

const sound = 'doors: { a: { knock: [7000, 8000/udp, 9000], opens: [22] } }\n';

describe('A fault', () => {
  it('names file, line, column, key, what was found and what is allowed', () => {
    expect(faults(`${sound}bans:\n  strikes: 0\n`)).toEqual([
      'f.yaml:3:12: bans.strikes: found 0, allowed a whole number from 1 to 1000',
    ]);
  });

  it('comes with all the others of the file at once, in the order of the file', () => {
    const found = faults(
      'doors: { A: { knock: [0], within: 5 } }\nallow: [99999]\nlog: { level: loud }\nmetrics: 5\n',
    );
    expect(found.map((each) => each.split(': ').slice(0, 2).join(' '))).toEqual([
      'f.yaml:1:10 doors.A',
      'f.yaml:1:23 doors.A.knock[0]',
      'f.yaml:1:35 doors.A.within',
      'f.yaml:2:9 allow[0]',
      'f.yaml:3:15 log.level',
      'f.yaml:4:10 metrics',
    ]);
  });

  it('stays one line on a terminal, whatever the file holds', () => {
    const nasty = `${sound}"bad\\nkey\\u009b": 1\nstate: "a\\u001b[31m\\nb"\nlog: { level: "${'x'.repeat(900)}" }\n`;
    for (const line of faults(nasty)) {
      expect(line).toMatch(/^[\x20-\x7e…]+$/);
      expect(line.length).toBeLessThan(400);
    }
  });
});

describe('The file itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-config-'));
  const big = join(folder, 'big.yaml');
  beforeAll(() => writeFileSync(big, '#'.repeat(600_000)));
  afterAll(() => rmSync(folder, { recursive: true }));

  const cases: readonly (readonly [name: string, text: string, fault: RegExp])[] = [
    ['empty', '', /^f.yaml:1:1: \(file\): found an empty file/],
    ['with nothing but comments', '# doors:\n', /found nothing but comments/],
    ['without doors', 'allow: [80]\n', /doors: found no doors, allowed a mapping.*; .*write "doors: \{\}"/],
    [
      'with doors but nothing in them',
      'doors:\nallow: [80]\n',
      /1:1: doors: found nothing, allowed a mapping of doors/,
    ],
    ['with neither doors nor decoys', 'doors: {}\n', /found no doors and no decoys/],
    [
      'indented with tabs',
      'doors:\n\ta: 1\n',
      /^f.yaml:2:1: \(file\): found a tab, allowed spaces; indent with spaces/,
    ],
    ['that is no YAML', 'doors: [1, 2\n', /found what YAML does not allow \(.*\), allowed YAML 1.2/],
    ['with two documents', `${sound}---\n${sound}`, /found a second document, allowed one document/],
    [
      'with a tag',
      'doors: { a: { knock: [1, 2], opens: [22], flags: !ack } }',
      /1:50: \(file\): found a tag, allowed plain values; a text with "!" stands in quotes/,
    ],
    ['that is a list', '- a\n', /found a list, allowed a mapping/],
    ['that is binary', 'doors\u0000', /1:6: \(file\): found the character "\\u0000"/],
    ['nested without end', '['.repeat(100_000), /more than 256 open brackets/],
    ['of lists in lists in one line', '- '.repeat(100_000), /lists within lists/],
    [
      'of mappings without end',
      Array.from({ length: 900 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      /levels|YAML/,
    ],
    ['that uses an anchor too often', `a: &a [1]\nb: [${'*a, '.repeat(400)}]\n`, /more than 256 aliases/],
    ['that uses an anchor inside itself', 'doors: &d { a: *d }\n', /alias "d" inside its own anchor/],
    [
      'that uses an anchor that is not there',
      'doors: *d\n',
      /1:8: \(file\): found the alias "d", allowed an anchor that stands before it/,
    ],
    ['over its size', '#'.repeat(600_000), /found 600000 bytes, allowed at most 524288 bytes/],
    ['with a merge key', 'x: &x {}\ndoors: { <<: *x }\n', /found the name "<<"/],
  ];
  it.each(cases)('%s is refused', (_, text, fault) => {
    expect(faults(text).join('\n')).toMatch(fault);
  });

  it('that is missing, a directory or too large is a fault, with what mends it', () => {
    const text = [join(folder, 'none'), folder, big].map((file) => {
      const loaded = loadConfig(file);
      return loaded.ok ? '' : loaded.faults.map(formatFault).join();
    });
    expect(text[0]).toContain(
      'none:1:1: (file): found no such file, allowed a file that can be read; make it',
    );
    expect(text[1]).toContain('found a directory');
    expect(text[2]).toContain('found 600000 bytes');
  });

  it('may share a list by an anchor', () => {
    expect(
      faults(
        'doors:\n  a: { knock: &k [1, 2], opens: [22] }\n  b: { one_time: /x, close: [3, 4], opens: &o [23] }\n  c: { knock: [5, 6], opens: *o }\n',
      ),
    ).toEqual([]);
  });

  it('with decoys alone needs no door, if it says so', () => {
    expect(faults('doors: {}\ndecoys: all\n')).toEqual([]);
  });
});

describe('A key', () => {
  it('that is unknown is refused with the one that was probably meant', () => {
    expect(door('tolarate: 1').join()).toMatch(
      /doors.a.tolarate: found the unknown key "tolarate".*did you mean "tolerate"\?/,
    );
    expect(faults(`${sound}decoy: all\n`).join()).toMatch(/did you mean "decoys"\?/);
    expect(faults(`${sound}bans: { strike-on-service: true }\n`).join()).toMatch(
      /did you mean "strike_on_service"\?/,
    );
  });

  it('that stands twice is refused where it stands the second time', () => {
    expect(faults(`${sound}allow: [80]\nallow: [443]\n`)).toEqual([
      'f.yaml:3:1: allow: found the key a second time, allowed each key once; remove one',
    ]);
  });

  it('that is no text is refused', () => {
    expect(faults(`${sound}? [a]\n: 1\n`).join()).toMatch(/found a list as a key/);
  });

  it('without a value below it has all defaults', () => {
    expect(faults(`${sound}bans:\nlisten:\nlog:\n`)).toEqual([]);
  });
});

describe('A door', () => {
  const cases: readonly (readonly [name: string, fault: string[], expected: RegExp])[] = [
    [
      'with two equal knocks next to each other',
      door('knock: [1, 2/udp, 2/udp]'),
      /knock\[2\]: found 2\/udp twice in a row/,
    ],
    ['with an empty sequence', door('knock: []'), /knock: found an empty list, allowed .*\(1 to 32\)/],
    [
      'with more than 32 knocks',
      door(`knock: [${Array.from({ length: 33 }, (_, i) => i + 1)}]`),
      /found 33 items/,
    ],
    [
      'with a range as a knock',
      door('knock: [1, 2-5]'),
      /knock\[1\]: found "2-5".*with a range as a step a scan would make the knock/,
    ],
    [
      'with a file as its knock',
      door('knock: /etc/file'),
      /knock: found "\/etc\/file".*write "one_time: \/etc\/file"/,
    ],
    ['with its knocks in one text', door('knock: "7000,8000:udp"'), /write \[7000\/tcp, 8000\/udp\]/],
    ["with a port in knockd's form", door('knock: ["7000:udp", 1]'), /write 7000\/udp/],
    ['with port 0', door('knock: [0, 1]'), /knock\[0\]: found 0/],
    ['with port 65536', door('opens: [65536]'), /opens\[0\]: found 65536/],
    ['with a range that ends before it begins', door('opens: [90-80/tcp]'), /opens\[0\]/],
    [
      'with both knock and one_time',
      door('knock: [1, 2], one_time: /x'),
      /one_time: found one_time beside knock/,
    ],
    [
      'with neither',
      faults('doors: { a: { opens: [22] } }'),
      /1:10: doors.a: found neither knock nor one_time/,
    ],
    [
      'whose close is its knock',
      door('close: [7000, 8000/udp, 9000]'),
      /close: found the same sequence as doors.a.knock.*in reverse/,
    ],
    [
      'whose gap.min is its gap.max',
      door('gap: { min: 2s, max: 2s }'),
      /gap.min: found 2s, allowed less than gap.max/,
    ],
    [
      'whose gap.max is longer than within',
      door('within: 5s, gap: { max: 6s }'),
      /gap.max: found 6s, allowed at most 5s/,
    ],
    [
      'whose gaps at their least outlast within',
      door('within: 5s, gap: { min: 3s, max: 4s }'),
      /gap.min: found 3s.*together/,
    ],
    ['with a time without unit', door('within: 10'), /within: found 10, .*name the unit: 10s/],
    [
      'with a time of days beyond what ipset counts',
      door('for: 25d'),
      /for: found "25d", allowed a time from 1s to 2147483s/,
    ],
    [
      'with a service that is open to everyone',
      door('opens: [20-25]', 'allow: [22]\n'),
      /opens\[0\]: found 20-25\/tcp.*allow\[0\]/,
    ],
    ['with dnat but no forward', door('dnat: true'), /dnat: found dnat without forward/],
    [
      'that forwards to a network',
      door('forward: 10.0.0.0/24'),
      /forward: found "10.0.0.0\/24", allowed the address of one host/,
    ],
    [
      'that forwards to another family than it grants',
      door('forward: 10.0.0.5, grant: "2001:db8::/32"'),
      /a network of IPv4/,
    ],
    [
      'with a network that has host bits',
      door('grant: 192.0.2.1/24'),
      /grant: .*the network is 192.0.2.0\/24/,
    ],
    [
      'for IPv4 written as IPv6, from which no packet comes',
      door('grant: "::ffff:192.0.2.0/120"'),
      /grant: found "::ffff:192.0.2.0\/120".*write 192.0.2.0\/24/,
    ],
    [
      'that forwards to IPv4 written as IPv6',
      door('forward: "::ffff:10.0.0.5"'),
      /forward: found "::ffff:10.0.0.5".*write 10.0.0.5/,
    ],
    [
      'whose command is one text',
      door('on_open: /bin/a -b %IP%'),
      /no shell is run: write the words as a list, \["\/bin\/a", "-b", "%IP%"\]/,
    ],
    [
      'whose command is no absolute path',
      door('on_open: [notify]'),
      /on_open\[0\]: found "notify", allowed the absolute path/,
    ],
    [
      'whose command has an unknown placeholder',
      door('on_close: [/bin/a, "%USER%"]'),
      /on_close\[1\]: found the placeholder "%USER%", allowed only %IP%, %DOOR% and %PORTS%/,
    ],
    ['whose placeholder is in small letters', door('on_close: [/bin/a, "-%ip%"]'), /write %IP%/],
    ['whose command has a truth for a word', door('on_open: [/bin/a, true]'), /"true" in quotes is a text/],
    ['with flags that contradict each other', door('flags: "syn,!syn"'), /flags: found "syn,!syn"/],
    ['that tolerates more than 100', door('tolerate: 101'), /from 0 to 100/],
    ['that tolerates a part', door('tolerate: 1.5'), /found 1.5/],
    ['without uses', door('uses: 0'), /uses: found 0/],
    ['without holders', door('holders: 0'), /holders: found 0/],
  ];
  it.each(cases)('%s is refused', (_, found, expected) => {
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it.each(['SSH', 'a b', 'ä', '-a', '-', 'x'.repeat(25), "a'; drop", '"a.b"'])(
    'may not be named %s',
    (name) => {
      const text = `doors: { ${/^[\w"]+(\.b")?$/.test(name) ? name : JSON.stringify(name)}: { knock: [1, 2], opens: [22] } }`;
      expect(faults(text).join()).toMatch(/found the name ".*allowed 1 to 24 of a-z, 0-9, _ and -/);
    },
  );

  it('may not have the sequence of another, unless no packet has the flags of both', () => {
    const two = (flags: string, knock = '[1, 2/udp]'): string[] =>
      faults(
        `doors:\n  a: { knock: ${knock}, opens: [22] }\n  b: { knock: ${knock}, opens: [23], flags: ${flags} }\n`,
      );
    expect(two('syn').join()).toMatch(/3:15: doors.b.knock: found the same sequence as doors.a/);
    expect(two('"syn,!urg"')).toHaveLength(1);
    expect(two('"fin,!syn"')).toEqual([]);
    expect(two('"fin,!syn"', '[1/udp, 2/udp]')).toHaveLength(1);
  });

  it('may not close by what opens another', () => {
    expect(
      faults(
        'doors:\n  a: { knock: [1, 2], opens: [22] }\n  b: { knock: [3, 4], opens: [23], close: [1, 2] }\n',
      ),
    ).toEqual([
      'f.yaml:3:43: doors.b.close: found the same sequence as doors.a.knock, allowed a sequence of its own; change one',
    ]);
  });
});

describe('A decoy', () => {
  it.each([
    ['a knock', '[7000/tcp]', 'doors.a.knock[0]'],
    ['a service', '[22]', 'doors.a.opens[0]'],
    ['open to everyone', '[443]', 'allow[0]'],
  ])('that is %s is refused', (_, decoys, key) => {
    expect(faults(`${sound}decoys: ${decoys}\nallow: [443]\n`).join()).toContain(`which is ${key} too`);
  });

  it('range, or all, leaves out what has a meaning', () => {
    expect(faults(`${sound}decoys: [1-65535/tcp]\nallow: [443]\n`)).toEqual([]);
    expect(faults(`${sound}decoys: all\nallow: [443]\n`)).toEqual([]);
  });

  it('of the other protocol is another port', () => {
    expect(faults(`${sound}decoys: [7000/udp]\n`)).toEqual([]);
  });
});

describe('The rest of the file', () => {
  const cases: readonly (readonly [text: string, fault: RegExp])[] = [
    ['bans: { for: 2h, max: 1h }', /bans.max: found 1h, allowed at least 2h/],
    ['bans: { never: [192.0.2.1/24] }', /never\[0\]: .*the network is 192.0.2.0\/24/],
    ['bans: { never: [192.0.2.0/33] }', /the length is at most 32/],
    ['bans: { escalate: 0.5 }', /escalate: found 0.5, allowed a number from 1 to 100/],
    ['bans: { enforce: yes }', /enforce: found "yes", allowed true or false/],
    ['bans: { rate: 20 }', /rate: found 20, allowed a mapping with packets or per/],
    ['bans: { scope: hiden }', /did you mean "hidden"/],
    ['bans: { strikes: 0x10 }', /strikes: found 0x10/],
    ['listen: { queues: 3-1 }', /queues: found "3-1"/],
    ['listen: { queues: 0-64 }', /a range of at most 64/],
    ['listen: { queues: -1 }', /queues: found -1/],
    ['listen: { queues: 65535 }', /queues: found 65535, allowed a queue number from 0 to 65534/],
    ['listen: { interfaces: [a-name-too-long-for-linux] }', /interfaces\[0\]/],
    ['listen: { interfaces: [../x] }', /interfaces\[0\]/],
    ['listen: { interfaces: eth0 }', /write it in brackets: \[eth0\]/],
    [
      'answer: closed',
      /answer: found closed with listen.source: nfqueue, allowed drop, or .*nflog; write "listen/,
    ],
    ['decoys: some', /decoys: found "some", allowed all, or a list of ports/],
    ['log: { max_size: 10 }', /name the unit: 10MB/],
    ['log: { file: logs/a.log }', /log.file: found "logs\/a.log", allowed the absolute path/],
    ['metrics: 0.0.0.0:9477', /metrics: .*write unix:\/run\/nfknock\/metrics.sock or 127.0.0.1:9477/],
    ['metrics: unix:metrics.sock', /metrics: .*give its absolute path/],
    [`metrics: unix:/${'x'.repeat(200)}`, /metrics: .*at most 10\d bytes/],
    ['metrics: 127.0.0.1:99999', /metrics/],
    ['metrics: 127.0.0.300:80', /metrics/],
    [`control: /${'x'.repeat(107)}`, /control: .*at most 107 bytes/],
    ['memory: { sources: 99999999 }', /sources: found 99999999/],
    [
      'bans: { strikes: 1000 }',
      /2:18: bans.strikes: found 1000 strikes of each of 262144 sources to remember, .*lower bans.strikes to 256/,
    ],
    ['grants: rules', /did you mean "rule"/],
  ];
  it.each(cases)('%s is refused', (text, fault) => {
    const found = faults(`${sound}${text}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(fault);
  });
});
