import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLineBuffer } from '../../../src/control/lines.ts';

describe('a line buffer', () => {
  it('gives the same lines however the bytes were cut', () => {
    const text = fc.array(
      fc.string({ unit: 'grapheme', maxLength: 30 }).map((line) => line.replaceAll('\n', ' ')),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(
        text,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        fc.boolean(),
        (wanted, cuts, eager) => {
          const lines = createLineBuffer(1000);
          const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''));
          const got: unknown[] = [];
          const drain = (): void => {
            for (let line = lines.next(); line !== null; line = lines.next()) got.push(line);
          };
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const size = cuts[turn % cuts.length] ?? 1;
            lines.push(bytes.subarray(at, at + size));
            at += size;
            if (eager || turn % 3 === 0) drain();
          }
          drain();
          expect(got).toEqual(wanted);
          expect(lines.rest()).toBe('');
        },
      ),
    );
  });

  it('says that a line is too long as soon as it is, with and without its newline', () => {
    for (const end of ['', '\n']) {
      const lines = createLineBuffer(10);
      lines.push(Buffer.from(`0123456789\n${'x'.repeat(11)}${end}`));
      expect(lines.next()).toBe('0123456789');
      expect(lines.ready()).toBe(true);
      expect(lines.next()).toBe('too long');
    }
  });

  it('gives its memory back once it is empty', () => {
    const lines = createLineBuffer(100_000);
    lines.push(Buffer.alloc(60_000, 'x'));
    expect(lines.held()).toBeGreaterThanOrEqual(60_000);
    lines.push(Buffer.from('\n'));
    lines.next();
    expect(lines.held()).toBe(0);
  });
});
