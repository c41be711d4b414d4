import { createLineBuffer } from '../../src/control/lines.ts';
import { readRequest, writeRequest } from '../../src/control/message.ts';
import { parseOneTime } from '../../src/one-time/file.ts';
import { mutate, mutateText, pick, type Random, varyText } from './random.ts';
import { check, ofText, type Target } from './target.ts';

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
      make: () => requestOf(random),
      vary: (kept) => varyText(kept, JSON_WORDS, random),
      take(input) {
        const bytes = Buffer.concat([input, Buffer.from('\n')]);
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
            check(!/\p{Cc}/u.test(read.error.message + read.error.fix), 'a refusal is one line');
          }
        }
        return last;
      },
      close: () => undefined,
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

export const oneTime: Target = ofText(
  { name: 'one-time files', short: 30_000, long: 10_000_000 },
  [ONE_TIME, ONE_TIME_WORDS],
  (text) => {
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
);
