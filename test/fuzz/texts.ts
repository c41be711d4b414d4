import { formatFault } from '../../src/config/fault.ts';
import { importKnockd } from '../../src/config/knockd.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { createLineBuffer } from '../../src/control/lines.ts';
import { readRequest, writeRequest } from '../../src/control/message.ts';
import { parseOneTime } from '../../src/live/one-time.ts';
import { mutate, mutateText } from './random.ts';
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

export const control: Target = {
  name: 'control messages',
  short: 30_000,
  long: 10_000_000,
  start(random) {
    return {
      next() {
        const sound = pick(REQUESTS, random(REQUESTS.length), '');
        const text = random(2) === 0 ? mutateText(sound, JSON_WORDS, random) : sound;
        const bytes = Buffer.concat([mutate(Buffer.from(text), random), Buffer.from('\n')]);
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
  short: 250,
  long: 100_000,
  start: (random) => ({
    next() {
      const parsed = parseConfig(mutateText(YAML, YAML_WORDS, random), 'f.yaml');
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
