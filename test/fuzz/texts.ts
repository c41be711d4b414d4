import { formatFault } from '../../src/config/fault.ts';
import { importKnockd } from '../../src/config/knockd.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { createLineBuffer } from '../../src/control/lines.ts';
import { readRequest, writeRequest } from '../../src/control/message.ts';
import { parseOneTime } from '../../src/live/one-time.ts';
import { mutate, mutateText, type Random } from './random.ts';
import { check, type Target } from './target.ts';

const nothing = (): void => undefined;
const pick = <Item>(items: readonly Item[], at: number, otherwise: Item): Item => items[at] ?? otherwise;

const REQUESTS = [
  writeRequest(1, { command: 'status' }),
  writeRequest(2, { command: 'grant', door: 'ssh', address: '198.51.100.7', for: 1000, reason: 'ticket' }),
  writeRequest(3, { command: 'unban', all: true }),
  writeRequest(4, { command: 'explain', address: '2001:db8::7' }),
];
const JSON_WORDS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\u0000',
  '\\ud800',
  '1e999',
  '-1',
  'null',
  'true',
  '"__proto__"',
  '"v":2',
  '\n',
];
const LINE_BYTES_MAX = 4096;

/** Values that a field may be given: of the wrong kind, at a limit, beyond it, or made to be shown on a terminal. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  [],
  {},
  '',
  'status',
  'grant',
  'unban',
  'ssh',
  '198.51.100.7',
  '::ffff:198.51.100.7',
  '2001:db8::7%eth0',
  '0300.0.0.1',
  'a'.repeat(64),
  'a'.repeat(65),
  'a'.repeat(200),
  'a'.repeat(201),
  '\u001b[2J',
  '\u202e',
  '\ud800',
  '\n',
  0,
  -1,
  1,
  1.5,
  2,
  1e308,
  2_147_483_000,
  2_147_483_001,
  Number.MAX_SAFE_INTEGER + 1,
];
const FIELDS = [
  'v',
  'id',
  'command',
  'door',
  'address',
  'for',
  'reason',
  'all',
  'limit',
  '__proto__',
  'more',
];

/** A request with some of its fields changed, taken away or added: sound JSON, whatever it asks. */
function mutateFields(sound: string, random: Random): string {
  const fields = new Map(Object.entries(JSON.parse(sound) as object));
  for (let changes = random(4); changes > 0; changes -= 1) {
    const name = pick(FIELDS, random(FIELDS.length), '');
    if (random(4) === 0) fields.delete(name);
    else fields.set(name, ODD_VALUES[random(ODD_VALUES.length)]);
  }
  const written = [...fields].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${written.join(',')}}`;
}

function requestOf(random: Random): Buffer {
  const sound = pick(REQUESTS, random(REQUESTS.length), '');
  switch (random(6)) {
    case 0:
      return mutate(Buffer.from(sound), random);
    case 1:
      return Buffer.from(mutateText(sound, JSON_WORDS, random));
    default:
      return Buffer.from(mutateFields(sound, random));
  }
}

export const control: Target = {
  name: 'control messages',
  short: 30_000,
  long: 10_000_000,
  start(random) {
    return {
      next() {
        const bytes = Buffer.concat([requestOf(random), Buffer.from('\n')]);
        const lines = createLineBuffer(LINE_BYTES_MAX);
        const half = random(bytes.length);
        lines.push(bytes.subarray(0, half));
        lines.push(bytes.subarray(half));
        let last = 'nothing';
        for (let line = lines.next(); line !== null && line !== 'too long'; line = lines.next()) {
          const read = readRequest(line);
          last = read.ok ? 'taken' : read.error.code;
          if (read.ok) {
            const again = readRequest(writeRequest(read.id, read.request));
            check(JSON.stringify(again) === JSON.stringify(read), 'what is taken is what was meant');
          } else {
            check(!/\p{Cc}/u.test(read.error.message + read.error.mend), 'a refusal is one line');
          }
        }
        return last;
      },
      close: nothing,
    };
  },
};

const ONE_TIME = '80:tcp,443:tcp,53:udp\n#7001:tcp,7002:udp\n\n7101/tcp,7102/udp\n';
const ONE_TIME_WORDS = [
  '#',
  ',',
  ':',
  '/',
  '\n',
  '\r\n',
  'tcp',
  'UDP',
  '0',
  '65536',
  '-1',
  '1e3',
  ' ',
  '\u0000',
  '７',
];

export const oneTime: Target = {
  name: 'one-time files',
  short: 30_000,
  long: 10_000_000,
  start: (random) => ({
    next() {
      const text = mutateText(ONE_TIME, ONE_TIME_WORDS, random);
      const { next, left, faults } = parseOneTime(text);
      const lines = text.split('\n');
      const unused = lines.filter((line) => !line.startsWith('#') && line.trim() !== '').length;
      check(left + faults.length === unused, 'every line is blank, used, a sequence or a fault');
      check((left === 0) === (next.length === 0), 'there is a next one while any is left');
      check(
        next.every(({ port }) => Number.isInteger(port) && port >= 1 && port <= 65_535),
        'ports are ports',
      );
      check(lines.length < 200 || left < lines.length, 'lines are counted');
      return left === 0 ? 'none left' : faults.length === 0 ? 'sound' : 'faults';
    },
    close: nothing,
  }),
};

const YAML = `doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    within: 10s
    gap: { min: 0ms, max: 5s }
    flags: "syn,!ack"
    opens: [22/tcp, 6000-6100/udp]
    close: [9000/tcp, 8000/udp]
    on_open: ["/usr/local/bin/notify", "open", "%IP%"]
decoys: [23/tcp, 5900-5910/tcp]
allow: [80/tcp]
bans: { strikes: 3, for: 10m, never: [192.0.2.0/24, "2001:db8::/32"], rate: { packets: 20, per: 1s } }
metrics: 127.0.0.1:9477
`;
/** Short ones beside it, each about a part of the whole: what is quick to read is tried oftener. */
const YAML_PIECES = [
  'doors: { a: { knock: [7000/tcp, 8000/udp], opens: [22/tcp] } }\n',
  'doors:\n  a: { knock: [1, 2, 3], opens: [22], within: 10s, gap: { min: 50ms, max: 5s }, tolerate: 1 }\n',
  'doors:\n  a:\n    knock: [1, 2]\n    close: [2, 1]\n    opens: [6000-6100/udp]\n    flags: "syn,!ack"\n    for: 30s\n',
  'doors: { a: { knock: [1, 2], opens: [22], uses: 1, holders: 2, grant: 192.0.2.0/24 } }\n',
  'doors: { a: { one_time: /etc/nfknock/a.sequences, opens: [22] } }\n',
  'doors: { a: { knock: [1], opens: [22], on_open: ["/bin/x", "%IP%"], cut: true } }\ndecoys: all\n',
  'decoys: [23/tcp, 5900-5910/tcp]\nallow: [80/tcp, 443]\ndoors: { a: { knock: [1], opens: [22] } }\n',
  'bans: { strikes: 3, within: 1m, for: 10m, escalate: 2, max: 7d, scope: hidden, limit: 1000 }\ndoors: {}\n',
  'bans: { never: [192.0.2.0/24, "2001:db8::/32"], rate: { packets: 20, per: 1s }, enforce: false }\n',
  'metrics: 127.0.0.1:9477\nsource: nfqueue\ndoors: { a: { knock: [1], opens: [22] } }\n',
  'x: &a [1/tcp]\ndoors: { a: { knock: *a, opens: *a } }\n',
];
const YAML_WORDS = [
  '{',
  '}',
  '[',
  ']',
  ': ',
  '- ',
  '\n',
  '  ',
  '&a',
  '*a',
  '<<: *a',
  '!!js',
  '|',
  '>',
  '"',
  "'",
  '#',
  '~',
  '0x7',
  '1e9',
  'all',
  'null',
  '---',
  '\t',
  '%',
  '/tcp',
  '7d',
  '-5s',
];

export const configuration: Target = {
  name: 'configurations',
  short: 500,
  long: 1_000_000,
  start: (random) => ({
    next() {
      const sound = random(32) === 0 ? YAML : pick(YAML_PIECES, random(YAML_PIECES.length), YAML);
      const parsed = parseConfig(mutateText(sound, YAML_WORDS, random), 'f.yaml');
      if (parsed.ok) return 'sound';
      check(parsed.faults.length > 0, 'what is refused has a fault');
      for (const fault of parsed.faults)
        check(!/\p{Cc}/u.test(formatFault(fault)), 'a fault is one line on a terminal');
      return 'faults';
    },
    close: nothing,
  }),
};

const KNOCKD = `[options]
 UseSyslog
[openSSH]
 sequence = 7000,8000:udp,9000
 seq_timeout = 5
 command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
 tcpflags = syn
`;

export const knockd: Target = {
  name: 'knockd.conf',
  short: 800,
  long: 500_000,
  start: (random) => ({
    next() {
      const words = [
        ...YAML_WORDS,
        '=',
        '[options]',
        '%IP%',
        'one_time_sequences = /x',
        'start_command',
        ';',
        '$(',
      ];
      const imported = importKnockd(mutateText(KNOCKD, words, random), 'k.conf');
      if (!imported.ok) return 'faults';
      const parsed = parseConfig(imported.yaml, 'i.yaml');
      check(parsed.ok || parsed.faults.length > 0, 'what is imported can be read');
      return parsed.ok ? 'sound' : 'sound for knockd alone';
    },
    close: nothing,
  }),
};
