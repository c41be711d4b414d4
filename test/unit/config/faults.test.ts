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
  it('names file, line, column, key, the problem and the fix', () => {
    expect(faults(`${sound}bans:\n  strikes: 0\n`)).toEqual([
      'f.yaml:3:12: bans.strikes: 0 is not a whole number from 1 to 1000; expected a number in that range, for example 1',
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
    ['empty', '', /^f.yaml:1:1: \(file\): the file is empty; write at least/],
    ['with nothing but comments', '# doors:\n', /the file has nothing but comments/],
    [
      'without doors',
      'allow: [80]\n',
      /doors: the key doors is missing; expected doors by their names.*; .*write "doors: \{\}"/,
    ],
    [
      'with doors but nothing in them',
      'doors:\nallow: [80]\n',
      /1:1: doors: an empty value is not a mapping of doors; expected doors/,
    ],
    ['with neither doors nor decoys', 'doors: {}\n', /there are no doors and no decoys/],
    [
      'indented with tabs',
      'doors:\n\ta: 1\n',
      /^f.yaml:2:1: \(file\): this line is indented with a tab; indent with spaces/,
    ],
    ['that is no YAML', 'doors: [1, 2\n', /this is not valid YAML \(.*\); correct it/],
    ['with two documents', `${sound}---\n${sound}`, /a second YAML document begins here; remove/],
    [
      'with a tag',
      'doors: { a: { knock: [1, 2], opens: [22], flags: !ack } }',
      /1:50: \(file\): a YAML tag is not supported; put a text with "!" in quotes/,
    ],
    ['that is a list', '- a\n', /a list is not a mapping; expected keys below it/],
    ['that is binary', 'doors\u0000', /1:6: \(file\): the character "\\u0000" is not text/],
    ['nested without end', '['.repeat(100_000), /more than 256 brackets are open/],
    ['of lists in lists in one line', '- '.repeat(100_000), /lists are nested too deeply/],
    [
      'of mappings without end',
      Array.from({ length: 900 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      /levels|YAML/,
    ],
    [
      'that uses an anchor too often',
      `a: &a [1]\nb: [${'*a, '.repeat(400)}]\n`,
      /more than 256 aliases are used/,
    ],
    ['that uses an anchor inside itself', 'doors: &d { a: *d }\n', /alias "d" stands inside its own anchor/],
    [
      'that uses an anchor that is not there',
      'doors: *d\n',
      /1:8: \(file\): the alias "d" has no anchor before it; define/,
    ],
    ['over its size', '#'.repeat(600_000), /the file has 600000 bytes; write at most 524288 bytes/],
    ['with a merge key', 'x: &x {}\ndoors: { <<: *x }\n', /"<<" is not a name for a door/],
  ];
  it.each(cases)('%s is refused', (_, text, fault) => {
    expect(faults(text).join('\n')).toMatch(fault);
  });

  it('that is missing, a directory or too large is a fault, with what fixes it', () => {
    const text = [join(folder, 'none'), folder, big].map((file) => {
      const loaded = loadConfig(file);
      return loaded.ok ? '' : loaded.faults.map(formatFault).join();
    });
    expect(text[0]).toContain('none:1:1: (file): there is no such file; create it');
    expect(text[1]).toContain('this is a directory');
    expect(text[2]).toContain('the file has 600000 bytes');
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
      /doors.a.tolarate: "tolarate" is not a known key; .*did you mean "tolerate"\?/,
    );
    expect(faults(`${sound}decoy: all\n`).join()).toMatch(/did you mean "decoys"\?/);
    expect(faults(`${sound}bans: { strike-on-service: true }\n`).join()).toMatch(
      /did you mean "strike_on_service"\?/,
    );
  });

  it('that stands twice is refused where it stands the second time', () => {
    expect(faults(`${sound}allow: [80]\nallow: [443]\n`)).toEqual([
      'f.yaml:3:1: allow: the key stands twice; remove one of the two',
    ]);
  });

  it('that is no text is refused', () => {
    expect(faults(`${sound}? [a]\n: 1\n`).join()).toMatch(/a list is not a key/);
  });

  it('without a value below it has all defaults', () => {
    expect(faults(`${sound}bans:\nlisten:\nlog:\n`)).toEqual([]);
  });
});

describe('A key of a later version', () => {
  it.each([
    'crowdsec: { key: hunter2 }',
    'syslog: unix:/dev/log',
    'geo: []',
    'bans: { lists: [] }',
    'bans: { on_ban: [/bin/true] }',
  ])('is not passed over: %s', (text) => {
    const found = faults(`${sound}${text}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/" is not a known key; remove it; known here: /);
    expect(found[0]).not.toContain('hunter2');
  });

  it.each(['widen: { ipv4: 24 }', 'expires: 2027-03-31', 'knock_file: /etc/x'])(
    'is not passed over in a door: %s',
    (text) => expect(door(text).join()).toContain('" is not a known key; remove it; known here: '),
  );
});

describe('A door', () => {
  const cases: readonly (readonly [name: string, fault: string[], expected: RegExp])[] = [
    [
      'with two equal knocks next to each other',
      door('knock: [1, 2/udp, 2/udp]'),
      /knock\[2\]: 2\/udp stands twice in a row/,
    ],
    ['with an empty sequence', door('knock: []'), /knock: the list is empty; expected .*1 to 32 of them/],
    [
      'with more than 32 knocks',
      door(`knock: [${Array.from({ length: 33 }, (_, i) => i + 1)}]`),
      /the list has 33 items/,
    ],
    [
      'with a range as a knock',
      door('knock: [1, 2-5]'),
      /knock\[1\]: "2-5" is not one port.*any scan would match a range/,
    ],
    [
      'with a file as its knock',
      door('knock: /etc/file'),
      /knock: "\/etc\/file" is not a list of ports; .*write "one_time: \/etc\/file"/,
    ],
    ['with its knocks in one text', door('knock: "7000,8000:udp"'), /write \[7000\/tcp, 8000\/udp\]/],
    ["with a port in knockd's form", door('knock: ["7000:udp", 1]'), /write 7000\/udp/],
    ['with port 0', door('knock: [0, 1]'), /knock\[0\]: 0 is not one port from 1 to 65535/],
    [
      'with port 65536',
      door('opens: [65536]'),
      /opens\[0\]: 65536 is not a port or range from 1 to 65535; expected a port and its protocol, for example/,
    ],
    ['with a range that ends before it begins', door('opens: [90-80/tcp]'), /opens\[0\]/],
    [
      'with both knock and one_time',
      door('knock: [1, 2], one_time: /x'),
      /one_time: the door has both knock and one_time/,
    ],
    [
      'with neither',
      faults('doors: { a: { opens: [22] } }'),
      /1:10: doors.a: the door has neither knock nor one_time/,
    ],
    [
      'whose close is its knock',
      door('close: [7000, 8000/udp, 9000]'),
      /close: the sequence is the same as doors.a.knock.*in reverse/,
    ],
    [
      'whose gap.min is its gap.max',
      door('gap: { min: 2s, max: 2s }'),
      /gap.min: 2s is not less than gap.max/,
    ],
    [
      'whose gap.max is longer than within',
      door('within: 5s, gap: { max: 6s }'),
      /gap.max: 6s is longer than within, which is 5s/,
    ],
    [
      'whose gaps at their least outlast within',
      door('within: 5s, gap: { min: 3s, max: 4s }'),
      /gap.min: gaps of 3s together/,
    ],
    [
      'with a time without unit',
      door('within: 10'),
      /within: 10 is not a time from 1ms to .*name the unit: 10s/,
    ],
    [
      'with a time of days beyond what ipset counts',
      door('for: 25d'),
      /for: "25d" is not a time from 1s to 2147483s/,
    ],
    [
      'with a service that is open to everyone',
      door('opens: [20-25]', 'allow: [22]\n'),
      /opens\[0\]: 20-25\/tcp is open to everyone by allow\[0\]/,
    ],
    ['with dnat but no forward', door('dnat: true'), /dnat: dnat needs forward/],
    [
      'that forwards to a network',
      door('forward: 10.0.0.0/24'),
      /forward: "10.0.0.0\/24" is not the address of one host/,
    ],
    [
      'that forwards to another family than it grants',
      door('forward: 10.0.0.5, grant: "2001:db8::/32"'),
      /write a network of IPv4/,
    ],
    [
      'with a network that has host bits',
      door('grant: 192.0.2.1/24'),
      /grant: .*the network is 192.0.2.0\/24/,
    ],
    [
      'for IPv4 written as IPv6, from which no packet comes',
      door('grant: "::ffff:192.0.2.0/120"'),
      /grant: "::ffff:192.0.2.0\/120" is not .*write 192.0.2.0\/24/,
    ],
    [
      'that forwards to IPv4 written as IPv6',
      door('forward: "::ffff:10.0.0.5"'),
      /forward: "::ffff:10.0.0.5" is not .*write 10.0.0.5/,
    ],
    [
      'whose command is one text',
      door('on_open: /bin/a -b %IP%'),
      /no shell is run: write the words as a list, \["\/bin\/a", "-b", "%IP%"\]/,
    ],
    [
      'whose command is no absolute path',
      door('on_open: [notify]'),
      /on_open\[0\]: "notify" is not the absolute path/,
    ],
    [
      'whose command has an unknown placeholder',
      door('on_close: [/bin/a, "%USER%"]'),
      /on_close\[1\]: "%USER%" is not a known placeholder; expected %IP%, %DOOR%, %PORTS%, %KEY%, %PERSON% or %MEMBER%/,
    ],
    ['whose placeholder is in small letters', door('on_close: [/bin/a, "-%ip%"]'), /write %IP%/],
    [
      'whose command has a truth for a word',
      door('on_open: [/bin/a, true]'),
      /to mean the text, write "true" in quotes/,
    ],
    [
      'with flags that contradict each other',
      door('flags: "syn,!syn"'),
      /flags: "syn,!syn" is not a list of TCP flags/,
    ],
    ['that tolerates more than 100', door('tolerate: 101'), /from 0 to 100/],
    ['that tolerates a part', door('tolerate: 1.5'), /1.5 is not a whole number/],
    ['without uses', door('uses: 0'), /uses: 0 is not/],
    ['without holders', door('holders: 0'), /holders: 0 is not/],
    ['that marks with 0', door('grant_mark: 0x0'), /grant_mark: .*0x0.* is not a mark.*everybody/],
    ['that marks beyond 32 bits', door('grant_mark: 0x100000000'), /is not a mark from 0x1 to 0xffffffff/],
    ['that marks less than nothing', door('grant_mark: -1'), /is not a mark from 0x1/],
    ['that marks with a mask', door('grant_mark: 0x4e46/0xffff'), /a mask is not taken/],
    ['that marks with a word', door('grant_mark: yes'), /is not a mark/],
  ];
  it.each(cases)('%s is refused', (_, found, expected) => {
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it.each(['SSH', 'a b', 'ä', '-a', '-', 'x'.repeat(25), "a'; drop", '"a.b"'])(
    'may not be named %s',
    (name) => {
      const text = `doors: { ${/^[\w"]+(\.b")?$/.test(name) ? name : JSON.stringify(name)}: { knock: [1, 2], opens: [22] } }`;
      expect(faults(text).join()).toMatch(
        /" is not a name for a door; expected 1 to 24 of a-z, 0-9, _ and -/,
      );
    },
  );

  it('may not have the sequence of another, unless no packet has the flags of both', () => {
    const two = (flags: string, knock = '[1, 2/udp]'): string[] =>
      faults(
        `doors:\n  a: { knock: ${knock}, opens: [22] }\n  b: { knock: ${knock}, opens: [23], flags: ${flags} }\n`,
      );
    expect(two('syn').join()).toMatch(/3:15: doors.b.knock: the sequence is the same as that of doors.a/);
    expect(two('"syn,!urg"')).toHaveLength(1);
    expect(two('"fin,!syn"')).toEqual([]);
    expect(two('"fin,!syn"', '[1/udp, 2/udp]')).toHaveLength(1);
  });

  it('may not close by what opens another', () => {
    expect(
      faults(
        'doors:\n  a: { knock: [1, 2], opens: [22] }\n  b: { knock: [3, 4], opens: [23], close: [1, 2] }\n',
      ),
    ).toEqual(['f.yaml:3:43: doors.b.close: the sequence is the same as doors.a.knock; change one']);
  });
});

describe('A decoy', () => {
  it.each([
    ['a knock', '[7000/tcp]', 'doors.a.knock[0]'],
    ['a service', '[22]', 'doors.a.opens[0]'],
    ['open to everyone', '[443]', 'allow[0]'],
  ])('that is %s is refused', (_, decoys, key) => {
    expect(faults(`${sound}decoys: ${decoys}\nallow: [443]\n`).join()).toContain(`is ${key} too`);
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
    ['bans: { for: 2h, max: 1h }', /bans.max: 1h is less than bans.for, which is 2h/],
    ['bans: { never: [192.0.2.1/24] }', /never\[0\]: .*the network is 192.0.2.0\/24/],
    ['bans: { never: [192.0.2.0/33] }', /the length is at most 32/],
    ['bans: { escalate: 0.5 }', /escalate: 0.5 is not a number from 1 to 100/],
    ['bans: { enforce: yes }', /enforce: "yes" is not a truth value; expected true or false/],
    ['bans: { rate: 20 }', /rate: 20 is not a mapping; expected keys below it: packets or per/],
    ['bans: { scope: hiden }', /did you mean "hidden"/],
    ['bans: { strikes: 0x10 }', /strikes: 0x10 is not/],
    ['listen: { queues: 3-1 }', /queues: "3-1" is not/],
    ['listen: { queues: 0-64 }', /a range of at most 64/],
    ['listen: { queues: -1 }', /queues: -1 is not/],
    ['listen: { queues: 65535 }', /queues: 65535 is not a queue number from 0 to 65534/],
    ['listen: { interfaces: [a-name-too-long-for-linux] }', /interfaces\[0\]/],
    ['listen: { interfaces: [../x] }', /interfaces\[0\]/],
    ['listen: { interfaces: eth0 }', /write it in brackets: \[eth0\]/],
    ['answer: closed', /answer: closed does not work with listen.source: nfqueue.*; write "listen/],
    ['decoys: some', /decoys: "some" is not a list of ports; expected all or a list/],
    ['log: { max_size: 10 }', /name the unit: 10MB/],
    ['log: { file: logs/a.log }', /log.file: "logs\/a.log" is not the absolute path/],
    ['metrics: 0.0.0.0:9477', /metrics: .*write unix:\/run\/nfknock\/metrics.sock or 127.0.0.1:9477/],
    ['metrics: unix:metrics.sock', /metrics: .*give its absolute path/],
    [`metrics: unix:/${'x'.repeat(200)}`, /metrics: .*at most 10\d bytes/],
    ['metrics: 127.0.0.1:99999', /metrics/],
    ['metrics: 127.0.0.300:80', /metrics/],
    [`control: /${'x'.repeat(107)}`, /control: .*at most 107 bytes/],
    ['memory: { sources: 99999999 }', /sources: 99999999 is not/],
    [
      'bans: { strikes: 1000 }',
      /2:18: bans.strikes: 1000 strikes of each of 262144 sources are more than .*lower bans.strikes to 256/,
    ],
    ['grants: rules', /did you mean "rule"/],
  ];
  it.each(cases)('%s is refused', (text, fault) => {
    const found = faults(`${sound}${text}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(fault);
  });
});
