import { describe, expect, it } from 'vitest';
import { formatPort } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { CODE_STEPS, type CodeKey, codesNow, judgeCode } from '../../../src/spa/code.ts';
import {
  codeOf,
  digitsOf,
  knocksOf,
  parseTemplateStep,
  rangeOf,
  type Template,
  templateProblem,
} from '../../../src/spa/code-template.ts';
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

function template(...steps: readonly string[]): Template {
  return steps.map((text) => {
    const step = parseTemplateStep(text);
    if (step === undefined) throw new Error(`${text} is no step`);
    return step;
  });
}
const TEMPLATE = template('7000/tcp', '1????/tcp', '2????/udp');

describe('A template', () => {
  it('has steps of one port, and of ports whose last digits are a code', () => {
    expect(parseTemplateStep('7000')).toEqual({ protocol: 'tcp', port: 7000 });
    expect(parseTemplateStep('7000/udp')).toEqual({ protocol: 'udp', port: 7000 });
    expect(parseTemplateStep('1????/tcp')).toEqual({ protocol: 'tcp', base: 10_000, digits: 4 });
    expect(parseTemplateStep('123?/udp')).toEqual({ protocol: 'udp', base: 1230, digits: 1 });
    expect(parseTemplateStep('5????')).toEqual({ protocol: 'tcp', base: 50_000, digits: 4 });
    expect(parseTemplateStep('64???')).toEqual({ protocol: 'tcp', base: 64_000, digits: 3 });
    expect(parseTemplateStep('1?')).toEqual({ protocol: 'tcp', base: 10, digits: 1 });
    expect(parseTemplateStep('65535')).toEqual({ protocol: 'tcp', port: 65_535 });
    expect(parseTemplateStep('6552?')).toBeDefined();
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
    expect(parseTemplateStep(text)).toBeUndefined();
  });

  it('matches whole ranges', () => {
    expect(TEMPLATE.map(rangeOf)).toEqual([
      { protocol: 'tcp', first: 7000, last: 7000 },
      { protocol: 'tcp', first: 10_000, last: 19_999 },
      { protocol: 'udp', first: 20_000, last: 29_999 },
    ]);
    expect(digitsOf(TEMPLATE)).toBe(8);
  });

  it('and a code make knocks, and knocks give the code back', () => {
    const knocks = knocksOf(TEMPLATE, '49139586') ?? [];
    expect(knocks.map(formatPort)).toEqual(['7000/tcp', '14913/tcp', '29586/udp']);
    expect(codeOf(TEMPLATE, knocks)).toBe('49139586');
    expect(codeOf(TEMPLATE, knocksOf(TEMPLATE, '00010002') ?? [])).toBe('00010002');
    expect(codeOf(TEMPLATE, knocksOf(TEMPLATE, '99999999') ?? [])).toBe('99999999');
  });

  it('takes no code of another length, or of no digits', () => {
    for (const code of ['4913958', '491395861', '4913958x', '', '4913-586'])
      expect(knocksOf(TEMPLATE, code)).toBeUndefined();
  });

  it('finds no code in knocks that are not its own', () => {
    const knocks = knocksOf(TEMPLATE, '49139586') ?? [];
    const [first, second, third] = template('7001', '30000', '10000/udp').flatMap((step) =>
      'port' in step ? [step] : [],
    );
    if (first === undefined || second === undefined || third === undefined) throw new Error('no knocks');
    expect(codeOf(TEMPLATE, knocks.slice(1))).toBeUndefined();
    expect(codeOf(TEMPLATE, [...knocks, first])).toBeUndefined();
    expect(codeOf(TEMPLATE, knocks.with(0, first))).toBeUndefined();
    expect(codeOf(TEMPLATE, knocks.with(1, second))).toBeUndefined();
    expect(codeOf(TEMPLATE, knocks.with(1, third))).toBeUndefined();
    expect(codeOf(TEMPLATE, knocks.with(2, third))).toBeUndefined();
  });

  it.each([
    [undefined, ['7000', '1????', '2????']],
    [undefined, ['7000', '1???', '2???']],
    [undefined, ['7000', '1????', '8000', '2????']],
    [undefined, ['7000', '7000', '1????', '2????']],
    [undefined, ['7000', '1????/tcp', '1????/udp']],
    ['first', ['1????', '2????']],
    ['first', []],
    ['digits', ['7000', '8000']],
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

function codeKey(
  name: string,
  secret: Uint8Array,
  floor = Number.NEGATIVE_INFINITY,
  limits: Partial<Key> = {},
): CodeKey {
  const credential = { kind: 'totp', secret } as const;
  return { key: { ...keyOf(name, credential, limits), credential }, floor };
}
const ADA = codeKey('ada', RFC_SECRET);
const BEN = codeKey('ben', Buffer.from('another secret of ben'));
const NOW = stepOf(WALL);
const codeAt = (steps: number, { key }: CodeKey = ADA, digits = 8): string =>
  hotp(key.credential.secret, NOW + steps, digits);

describe('The code of a whole sequence', () => {
  it('opens from two steps ago to one ahead', () => {
    for (const steps of [-2, -1, 0, 1]) {
      const stamp = (NOW + steps) * 30_000;
      expect(judgeCode(codeAt(steps), [ADA, BEN], WALL, CODE_STEPS)).toEqual({
        outcome: 'right',
        key: 'ada',
        stamp,
      });
      expect(judgeCode(codeAt(steps, BEN), [ADA, BEN], WALL, CODE_STEPS)).toEqual({
        outcome: 'right',
        key: 'ben',
        stamp,
      });
    }
    expect(judgeCode(codeAt(-3), [ADA], WALL, { back: 3, ahead: 0 }).outcome).toBe('right');
    expect(judgeCode(codeAt(1), [ADA], WALL, { back: 3, ahead: 0 }).outcome).toBe('late');
  });

  it('of six digits is one as well', () => {
    expect(judgeCode(codeAt(0, ADA, 6), [ADA], WALL, CODE_STEPS).outcome).toBe('right');
  });

  it('within ten steps of these is late, and no offence', () => {
    for (const steps of [-12, -3, 2, 11]) {
      expect(judgeCode(codeAt(steps), [ADA], WALL, CODE_STEPS)).toEqual({
        outcome: 'late',
        key: 'ada',
        steps,
      });
    }
    for (const steps of [-13, 12])
      expect(judgeCode(codeAt(steps), [ADA], WALL, CODE_STEPS)).toEqual({ outcome: 'wrong' });
  });

  it('is used up by itself and by every later one', () => {
    const used = codeKey('ada', RFC_SECRET, (NOW - 1) * 30_000);
    expect(judgeCode(codeAt(-2), [used], WALL, CODE_STEPS)).toEqual({ outcome: 'used', key: 'ada' });
    expect(judgeCode(codeAt(-1), [used], WALL, CODE_STEPS)).toEqual({ outcome: 'used', key: 'ada' });
    expect(judgeCode(codeAt(0), [used], WALL, CODE_STEPS).outcome).toBe('right');
  });

  it('of a key that has expired opens nothing, and is no offence', () => {
    const gone = codeKey('ada', RFC_SECRET, 0, { expires: WALL });
    expect(judgeCode(codeAt(0), [gone], WALL, CODE_STEPS)).toEqual({ outcome: 'expired', key: 'ada' });
    expect(judgeCode(codeAt(0), [gone], WALL - 1, CODE_STEPS).outcome).toBe('right');
  });

  it('that is right for two is his for whom it opens', () => {
    const used = codeKey('eve', RFC_SECRET, WALL);
    expect(judgeCode(codeAt(0), [used, ADA], WALL, CODE_STEPS)).toMatchObject({
      outcome: 'right',
      key: 'ada',
    });
  });

  it('that is nobody’s is wrong', () => {
    expect(judgeCode('00000000', [ADA, BEN], WALL, CODE_STEPS)).toEqual({ outcome: 'wrong' });
    expect(judgeCode(codeAt(0), [], WALL, CODE_STEPS)).toEqual({ outcome: 'wrong' });
    expect(judgeCode(hotp(RFC_SECRET, 0, 8), [ADA], 0, CODE_STEPS).outcome).toBe('right');
  });

  it('is one of those that the engine is told', () => {
    const now = codesNow([ADA, BEN], 8, WALL, CODE_STEPS);
    expect(now.map(({ code, key }) => `${key} ${code}`)).toEqual(
      [ADA, BEN].flatMap((one) => [-2, -1, 0, 1].map((steps) => `${one.key.name} ${codeAt(steps, one)}`)),
    );
    for (const { code, key, stamp } of now) {
      expect(judgeCode(code, [ADA, BEN], WALL, CODE_STEPS)).toEqual({ outcome: 'right', key, stamp });
    }
    const used = codeKey('ada', RFC_SECRET, (NOW - 1) * 30_000);
    expect(codesNow([used], 8, WALL, CODE_STEPS).map(({ code }) => code)).toEqual([codeAt(0), codeAt(1)]);
    expect(codesNow([codeKey('ada', RFC_SECRET, 0, { expires: WALL })], 8, WALL, CODE_STEPS)).toEqual([]);
    expect(codesNow([codeKey('ada', RFC_SECRET, 0, { expires: WALL + 1 })], 8, WALL, CODE_STEPS).length).toBe(
      4,
    );
    expect(codesNow([ADA], 8, 0, CODE_STEPS).map(({ stamp }) => stamp)).toEqual([0, 30_000]);
  });
});

describe('Wrong codes', () => {
  const DAY = milliseconds(86_400_000);
  const at = milliseconds;
  const [one, other] = [address('203.0.113.9'), address('203.0.113.8')];

  it('are too many at the third in a day', () => {
    const wrong = createWrongCodes({ wrong: 3, per: DAY });
    expect(wrong.note(one, at(0))).toBe(false);
    expect(wrong.note(other, at(0))).toBe(false);
    expect(wrong.note(one, at(1))).toBe(false);
    expect(wrong.note(one, at(86_399_999))).toBe(true);
    expect(wrong.note(one, at(86_400_000))).toBe(false);
    expect(wrong.count()).toBe(2);
  });

  it('older than that do not count', () => {
    const wrong = createWrongCodes({ wrong: 3, per: DAY });
    wrong.note(one, at(0));
    wrong.note(one, at(1));
    expect(wrong.note(one, at(86_400_000))).toBe(false);
    expect(wrong.note(one, at(86_400_000))).toBe(true);
  });

  it('are forgiven by a right one', () => {
    const wrong = createWrongCodes({ wrong: 2, per: DAY });
    wrong.note(one, at(0));
    wrong.forgive(one);
    expect(wrong.note(one, at(1))).toBe(false);
  });

  it('of an IPv6 network count together', () => {
    const wrong = createWrongCodes({ wrong: 2, per: DAY });
    wrong.note(address('2001:db8::1'), at(0));
    expect(wrong.note(address('2001:db8:0:1::1'), at(0))).toBe(false);
    expect(wrong.note(address('2001:db8::ffff'), at(0))).toBe(true);
  });

  it('are counted for 65,536 sources, and then not of the one whose last is longest ago', () => {
    const wrong = createWrongCodes({ wrong: 3, per: DAY });
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
