import { describe, expect, it } from 'vitest';
import type { Address } from '../../../src/packet/address.ts';
import { formatPort, type PortSpec, parseKnock, rangeOf } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { createCodeBook } from '../../../src/spa/code.ts';
import { digitsOf, knocksOf, templateProblem } from '../../../src/spa/code-template.ts';
import type { Key } from '../../../src/spa/key.ts';
import { secretBits } from '../../../src/spa/secret-bits.ts';
import { hotp, stepOf } from '../../../src/spa/totp.ts';
import { createWrongCodes, WRONG_CODE_SOURCES_MAX } from '../../../src/spa/wrong-codes.ts';
import { address, keyOf, WALL } from './spa-world.ts';

const RFC_SECRET = Buffer.from('12345678901234567890');

describe('Codes', () => {
  it('of RFC 4226, appendix D, are its', () => {
    const wanted = '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489';
    expect(Array.from({ length: 10 }, (_, counter) => hotp(RFC_SECRET, counter, 6)).join(' ')).toBe(wanted);
  });

  it.each([
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ])('of RFC 6238, appendix B, are its: %d s', (seconds, code) => {
    expect(hotp(RFC_SECRET, stepOf(seconds * 1000), 8)).toBe(code);
    expect(hotp(RFC_SECRET, stepOf(seconds * 1000), 7)).toBe(code.slice(1));
  });

  it('change each 30 s', () => {
    expect([stepOf(0), stepOf(29_999), stepOf(30_000), stepOf(59_999)]).toEqual([0, 0, 1, 1]);
  });
});

function template(...steps: readonly string[]): readonly PortSpec[] {
  return steps.map((text) => {
    const step = parseKnock(text);
    if (step === undefined) throw new Error(`${text} is no step`);
    return step;
  });
}
const TEMPLATE = template('7000/tcp', '1????/tcp', '2????/udp');

describe('A template', () => {
  it('has steps of one port, and of ports whose last digits are a code', () => {
    expect(parseKnock('7000')).toEqual({ protocol: 'tcp', port: 7000 });
    expect(parseKnock('7000/udp')).toEqual({ protocol: 'udp', port: 7000 });
    expect(parseKnock('1????/tcp')).toEqual({ protocol: 'tcp', port: 10_000, digits: 4 });
    expect(parseKnock('123?/udp')).toEqual({ protocol: 'udp', port: 1230, digits: 1 });
    expect(parseKnock('5????')).toEqual({ protocol: 'tcp', port: 50_000, digits: 4 });
    expect(parseKnock('64???')).toEqual({ protocol: 'tcp', port: 64_000, digits: 3 });
    expect(parseKnock('1?')).toEqual({ protocol: 'tcp', port: 10, digits: 1 });
    expect(parseKnock('65535')).toEqual({ protocol: 'tcp', port: 65_535 });
    expect(parseKnock('6552?')).toBeDefined();
  });

  it.each(
    [
      '',
      '?',
      '????',
      '0',
      '0???',
      '6????',
      '65???',
      '6553?',
      '1?????',
      '65536',
      '1?2?',
      '1????/icmp',
      '1????/',
      ' 7000',
      '7000 ',
      '-1',
      '1e3',
    ].map((each) => [each]),
  )('has no step %j', (text) => {
    expect(parseKnock(text)).toBeUndefined();
  });

  it('matches whole ranges', () => {
    expect(TEMPLATE.map(rangeOf)).toEqual([
      { protocol: 'tcp', first: 7000, last: 7000 },
      { protocol: 'tcp', first: 10_000, last: 19_999 },
      { protocol: 'udp', first: 20_000, last: 29_999 },
    ]);
    expect(digitsOf(TEMPLATE)).toBe(8);
  });

  it('and a code make knocks', () => {
    const knocks = knocksOf(TEMPLATE, '49139586') ?? [];
    expect(knocks.map(formatPort)).toEqual(['7000/tcp', '14913/tcp', '29586/udp']);
    expect(knocks.map((knock) => knock.digits)).toEqual([undefined, undefined, undefined]);
  });

  it('takes no code of another length, or of no digits', () => {
    for (const code of ['4913958', '491395861', '4913958x', '', '4913-586'])
      expect(knocksOf(TEMPLATE, code)).toBeUndefined();
  });

  it.each([
    [undefined, ['7000', '1????', '2????']],
    [undefined, ['7000', '1???', '2???']],
    [undefined, ['7000', '1????', '8000', '2????']],
    [undefined, ['7000', '7000', '1????', '2????']],
    [undefined, ['7000', '1????/tcp', '1????/udp']],
    ['first', ['1????', '2????']],
    [undefined, []],
    [undefined, ['7000', '8000']],
    ['digits', ['7000', '12???']],
    ['digits', ['7000', '1????', '20?']],
    ['digits', ['7000', '1????', '2????', '300?']],
    ['overlap', ['7000', '1????', '1????']],
    ['overlap', ['7000', '1????', '123??', '300?']],
    ['overlap', ['10000', '1????', '2????']],
    ['overlap', ['7000', '1????', '2????', '19999']],
    ['overlap', ['7000', '1????', '2????', '20000']],
    [undefined, ['7000', '1????', '2????', '30000']],
  ])('is judged: %s %j', (problem, steps) => {
    expect(templateProblem(template(...steps))).toBe(problem);
  });
});

function codeKey(name: string, secret: Uint8Array, limits: Partial<Key> = {}): Key {
  return keyOf(name, { kind: 'totp', secret }, { doors: ['mail'], ...limits });
}
const STEPS = { back: 2, ahead: 1 };
const BEN_SECRET = Buffer.from('another secret of ben');
const [ADA, BEN] = [codeKey('ada', RFC_SECRET), codeKey('ben', BEN_SECRET)];
const NOW = stepOf(WALL);
const codeAt = (steps: number, secret: Uint8Array = RFC_SECRET, digits = 8): string =>
  hotp(secret, NOW + steps, digits);

/** What comes of a code, in a line. */
function verdict(
  code: string,
  keys: readonly Key[] = [ADA, BEN],
  { wall = WALL, steps = STEPS, door = 'mail' } = {},
): string {
  return said(createCodeBook(keys).judge({ door, code, wall, steps }));
}

function said(found: ReturnType<ReturnType<typeof createCodeBook>['judge']>): string {
  if (found.outcome === 'wrong') return 'wrong';
  if (found.outcome === 'late') return `late ${found.key.name} ${found.behind / 30_000}`;
  return found.matches.map(({ key, stamp }) => `right ${key.name} ${stamp / 30_000 - NOW}`).join(', ');
}

describe('The code of a whole sequence', () => {
  it.each([-2, -1, 0, 1])('is right from two steps ago to one ahead: %d', (steps) => {
    expect(verdict(codeAt(steps))).toBe(`right ada ${steps}`);
    expect(verdict(codeAt(steps, BEN_SECRET))).toBe(`right ben ${steps}`);
  });

  it('is right as far as the door takes it', () => {
    expect(verdict(codeAt(-3), [ADA], { steps: { back: 3, ahead: 0 } })).toBe('right ada -3');
    expect(verdict(codeAt(1), [ADA], { steps: { back: 3, ahead: 0 } })).toBe('late ada -1');
    expect(verdict(codeAt(0), [ADA], { steps: { back: 0, ahead: 0 } })).toBe('right ada 0');
  });

  it.each([6, 7])('of %d digits is one as well', (digits) => {
    expect(verdict(codeAt(0, RFC_SECRET, digits))).toBe('right ada 0');
  });

  it('within ten steps of these is late, and no wrong one', () => {
    for (const steps of [-12, -3, 2, 11]) expect(verdict(codeAt(steps))).toBe(`late ada ${-steps}`);
    for (const steps of [-13, 12]) expect(verdict(codeAt(steps))).toBe('wrong');
  });

  it('that is right for two is said to be of both', () => {
    expect(verdict(codeAt(0), [codeKey('eve', RFC_SECRET), ADA])).toBe('right eve 0, right ada 0');
  });

  it('that is nobody’s, or of a key of another door, is wrong', () => {
    expect(verdict('00000000')).toBe('wrong');
    expect(verdict('')).toBe('wrong');
    expect(verdict(codeAt(0), [])).toBe('wrong');
    expect(verdict(codeAt(0), [ADA], { door: 'ssh' })).toBe('wrong');
    expect(
      verdict(codeAt(0), [keyOf('ada', { kind: 'secret', secret: RFC_SECRET }, { doors: ['mail'] })]),
    ).toBe('wrong');
  });

  it('is right at the very beginning of time', () => {
    const book = createCodeBook([ADA]);
    const found = book.judge({ door: 'mail', code: hotp(RFC_SECRET, 0, 8), wall: 0, steps: STEPS });
    expect(found.outcome).toBe('right');
  });

  it('of a key as it was before it was rotated is right until the new one has opened', () => {
    const previous = { credential: { kind: 'totp', secret: RFC_SECRET }, until: WALL + 60_000 } as const;
    const rotated = codeKey('ada', BEN_SECRET, { previous });
    const book = createCodeBook([rotated]);
    const judge = (code: string, wall = WALL) => book.judge({ door: 'mail', code, wall, steps: STEPS });
    expect(said(judge(codeAt(0)))).toBe('right ada 0');
    expect(said(judge(codeAt(2), WALL + 60_000))).toBe('wrong');
    const fresh = judge(codeAt(0, BEN_SECRET));
    expect(said(fresh)).toBe('right ada 0');
    if (fresh.outcome === 'right') fresh.matches[0].proven();
    expect(said(judge(codeAt(0)))).toBe('wrong');
  });

  it('is judged alike however the clock moves meanwhile', () => {
    const book = createCodeBook([ADA, BEN]);
    for (const offset of [0, 1, 2, 40, 39, -5, 1000, 0, -1000, 0]) {
      const wall = WALL + offset * 30_000;
      for (const steps of [-13, -12, -2, 0, 1, 11, 12]) {
        const code = codeAt(offset + steps);
        const alone = createCodeBook([ADA, BEN]).judge({ door: 'mail', code, wall, steps: STEPS });
        expect(said(book.judge({ door: 'mail', code, wall, steps: STEPS }))).toBe(said(alone));
      }
    }
  });

  it('leaves none of its steps behind in memory as time goes on, or the clock is set', () => {
    const book = createCodeBook([ADA, BEN]);
    for (const offset of [...Array(200).keys(), 5_000, -5_000, 0]) {
      book.judge({ door: 'mail', code: '12345678', wall: WALL + offset * 30_000, steps: STEPS });
      expect(book.pages()).toBe(24);
    }
  });

  // Against: floods with whole codes, each of which costs HMACs for everybody's keys
  // by: the codes of the moment are computed once in 30 s, and looked up
  it('costs no HMAC for each that is wrong', () => {
    const many = Array.from({ length: 200 }, (_, index) => codeKey(`k${index}`, Buffer.alloc(20, index)));
    const book = createCodeBook(many);
    book.judge({ door: 'mail', code: '12345678', wall: WALL, steps: STEPS });
    const begin = performance.now();
    for (let index = 0; index < 10_000; index += 1)
      book.judge({ door: 'mail', code: String(10_000_000 + index), wall: WALL, steps: STEPS });
    // With them it were 10,000 × 200 × 24 × 2 µs, a minute and a half.
    expect(performance.now() - begin).toBeLessThan(2000);
  });
});

describe('Wrong codes', () => {
  const DAY = milliseconds(86_400_000);
  const at = milliseconds;
  const counting = (wrong: number) => {
    const codes = createWrongCodes();
    return {
      ...codes,
      note: (source: Address, now: ReturnType<typeof at>) => codes.note(source, now, { wrong, per: DAY }),
    };
  };
  const [one, other] = [address('203.0.113.9'), address('203.0.113.8')];

  it('are too many at the third in a day', () => {
    const wrong = counting(3);
    expect(wrong.note(one, at(0))).toBe(false);
    expect(wrong.note(other, at(0))).toBe(false);
    expect(wrong.note(one, at(1))).toBe(false);
    expect(wrong.note(one, at(86_399_999))).toBe(true);
    expect(wrong.note(one, at(86_400_000))).toBe(false);
    expect(wrong.count()).toBe(2);
  });

  it('older than that do not count', () => {
    const wrong = counting(3);
    wrong.note(one, at(0));
    wrong.note(one, at(1));
    expect(wrong.note(one, at(86_400_000))).toBe(false);
    expect(wrong.note(one, at(86_400_000))).toBe(true);
  });

  it('are forgiven by a right one', () => {
    const wrong = counting(2);
    wrong.note(one, at(0));
    wrong.forgive(one);
    expect(wrong.note(one, at(1))).toBe(false);
  });

  it('of an IPv6 network count together', () => {
    const wrong = counting(2);
    wrong.note(address('2001:db8::1'), at(0));
    expect(wrong.note(address('2001:db8:0:1::1'), at(0))).toBe(false);
    expect(wrong.note(address('2001:db8::ffff'), at(0))).toBe(true);
  });

  // Against: has his wrong codes forgotten by knocking in others' names
  // by: of more sources than are counted those with fewest wrong codes are forgotten first
  it('of many who had one are forgotten before those of one who had two', () => {
    const wrong = counting(3);
    wrong.note(one, at(0));
    wrong.note(one, at(1));
    for (let index = 0; index < WRONG_CODE_SOURCES_MAX + 10; index += 1)
      wrong.note(address(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`), at(2));
    expect(wrong.count()).toBe(65_536);
    expect(wrong.note(one, at(3))).toBe(true);
  });

  it('are counted for 65,536 sources, and then not of the one whose last is longest ago', () => {
    const wrong = counting(3);
    const name = (index: number) => address(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    for (let index = 0; index < WRONG_CODE_SOURCES_MAX; index += 1) wrong.note(name(index), at(0));
    wrong.note(name(0), at(1));
    wrong.note(one, at(1));
    expect(wrong.count()).toBe(65_536);
    expect(wrong.note(name(0), at(2))).toBe(true);
    wrong.note(name(1), at(2));
    expect(wrong.note(name(1), at(2))).toBe(false);
  });
});

describe('The bits of a secret', () => {
  it.each([
    ['hunterabc', 42],
    ['aB3', 17],
    ['a b', 17],
    ['12345678', 26],
    ['ABCDEFGH', 37],
    ['aA0~aA0~', 52],
    ['a'.repeat(32), 150],
    ['!'.repeat(20), 100],
    ['99999999', 26],
    ['A'.repeat(32), 150],
  ])('that can have been typed are as many as its characters allow: %s', (text, bits) => {
    expect(secretBits(Buffer.from(text))).toBe(bits);
  });

  it('that can not are eight a byte', () => {
    expect(secretBits(Buffer.alloc(32, 0xff))).toBe(256);
    expect(secretBits(Buffer.from('abc\u0001'))).toBe(32);
    expect(secretBits(Buffer.alloc(0))).toBe(0);
  });
});
