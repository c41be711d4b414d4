import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asError, messageOf, sentenceOf } from '../../../src/text/error.ts';
import { escapeHtml, scriptJson } from '../../../src/text/html.ts';
import {
  isPrintable,
  oneLine,
  printable,
  printableJson,
  QUOTED_CHARACTERS_MAX,
  quoted,
} from '../../../src/text/plain.ts';
import { shellWord } from '../../../src/text/shell.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 40 });
/** Spelled out once more, by numbers, for what terminals and readers of lines act on. */
const ACTS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, index) => 0x7f + index),
  0xad,
  0x61c,
  0x200b,
  0x200c,
  0x200d,
  0x200e,
  0x200f,
  0x2028,
  0x2029,
  0x202a,
  0x202e,
  0x2066,
  0x2069,
  0xfeff,
  0xd800,
  0xdfff,
  0xe0041,
];

describe('text that is shown', () => {
  test.each(ACTS)('holds no character %i', (code) => {
    const text = `a${String.fromCodePoint(code)}b`;
    expect(isPrintable(text)).toBe(false);
    for (const shown of [printable(text), oneLine(text), quoted(text)]) {
      expect(shown).not.toContain(String.fromCodePoint(code));
      expect(isPrintable(shown)).toBe(true);
    }
  });

  test.each(['plain', 'häuser', '日本', '🔑', 'a b'])('is as it was where all of it shows: %s', (text) => {
    expect([printable(text), oneLine(text), printableJson(text), quoted(text)]).toEqual([
      text,
      text,
      text,
      `"${text}"`,
    ]);
  });

  test('is one line of what shows, whatever comes in', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        for (const shown of [printable(text), oneLine(text), quoted(text)])
          expect(isPrintable(shown)).toBe(true);
        expect(quoted(text).length).toBeLessThan(QUOTED_CHARACTERS_MAX * 6 + 4);
      }),
    );
  });

  test('is JSON that means what it meant', () => {
    fc.assert(
      fc.property(fc.jsonValue(), anyText, (value, text) => {
        const json = JSON.stringify({ value, text });
        expect(isPrintable(printableJson(json))).toBe(true);
        expect(JSON.parse(printableJson(json))).toEqual(JSON.parse(json));
      }),
    );
  });

  test('escapes a tag outside the first plane by its two units', () => {
    expect(printable('\u{e0041}')).toBe('\\udb40\\udc41');
  });
});

describe('what was thrown', () => {
  const nameless: unknown = Object.create(null);
  test.each([
    [new Error('no\nspace'), 'no\nspace', 'no space'],
    ['a text\u001b[2J', 'a text\u001b[2J', 'a text [2J'],
    [undefined, 'undefined', 'undefined'],
    [nameless, 'something without words was thrown', 'something without words was thrown'],
  ])('%s has words', (thrown, message, sentence) => {
    expect(messageOf(thrown)).toBe(message);
    expect(sentenceOf(thrown)).toBe(sentence);
    expect(asError(thrown).message).toBe(message);
  });

  test('is itself where it is an error, and the cause where it is none', () => {
    const error = new Error('x');
    expect(asError(error)).toBe(error);
    expect(asError(7).cause).toBe(7);
  });
});

test('a word of a shell comes back from a shell as it was', () => {
  const texts = fc.sample(
    fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => !/[\0\ud800-\udfff]/u.test(text)),
    200,
  );
  texts.push("it's", '$(id)', '`id`', '"', '\\', '!!', '*', '', ' ', '\n');
  const out = execFileSync('sh', ['-c', `printf '%s\\0' ${texts.map(shellWord).join(' ')}`], {
    encoding: 'utf8',
  });
  expect(out.split('\0').slice(0, -1)).toEqual(texts);
});

describe('text in HTML', () => {
  test('is text: no character of it is markup or ends an attribute', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const html = escapeHtml(text);
        expect(html).not.toMatch(/[<>"']/);
        expect(html.replace(/&(amp|lt|gt|quot|#39);/g, '')).not.toContain('&');
      }),
    );
    expect(escapeHtml(`<a href="x">'&amp;`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;');
  });

  test('inside a script is data that can not end it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), anyText, (value, text) => {
        const json = scriptJson({ value, text: `</script><!--${text}` });
        expect(json).not.toMatch(/[<>\u2028\u2029]/);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ value, text: `</script><!--${text}` })));
      }),
    );
  });
});
