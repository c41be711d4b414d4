import { randomBytes, randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EngineEvent } from '../../../src/engine/event.ts';
import { parseKnock } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { createCodeBook } from '../../../src/spa/code.ts';
import { hotp, STEP_MS, stepOf } from '../../../src/spa/totp.ts';
import { createWrongCodes } from '../../../src/spa/wrong-codes.ts';
import { door, settings, type World, world } from '../../unit/engine/world.ts';
import { address, keyOf } from '../../unit/spa/spa-world.ts';

const DAY = milliseconds(86_400_000);
const LIMIT = { wrong: 3, per: DAY };
const STEPS = { back: 2, ahead: 1 };
const GUESSER = '198.51.100.7';

/** A door of so many digits, and whom it is opened by; what the daemon does with a code is done here. */
function guarded(digits: 6 | 8) {
  const half = '?'.repeat(digits / 2);
  const knock = ['7000', `1${half}`, `2${half}`].flatMap((text) => parseKnock(text) ?? []);
  const secret = randomBytes(20);
  const book = createCodeBook([keyOf('ada', { kind: 'totp', secret }, { doors: ['mail'] })]);
  const wrong = createWrongCodes();
  const w = world(
    settings({
      doors: [door({ name: 'mail', knock })],
      decoys: 'all',
      bans: { strikes: 3, max: milliseconds(7 * DAY) },
    }),
  );
  const opened = { count: 0 };
  const emit = (event: EngineEvent): void => void w.events.push(event);
  const answer = (): void => {
    const event = w.events.at(-1);
    if (event?.event !== 'code.knocked') return;
    const { source, door: name, port, of, code, at } = event;
    const verdict = book.judge({ door: name, code, wall: at, steps: STEPS });
    if (verdict.outcome === 'right') opened.count += 1;
    if (verdict.outcome !== 'wrong') return;
    const tooMany = wrong.note(source, at, LIMIT);
    const about = { source, door: name, port, of, holder: null, tooMany };
    w.engine.execute({ command: 'refuse_code', ...about, reason: 'code wrong' }, at, emit);
  };
  return {
    w,
    opened,
    right: () => hotp(secret, stepOf(w.now), digits),
    /** Three knocks, 100 ms apart, and what comes of them. */
    knock(code: string, source = GUESSER): void {
      const ports = ['7000', `1${code.slice(0, digits / 2)}`, `2${code.slice(digits / 2)}`];
      for (const port of ports) {
        w.now += 100;
        w.send(port, { from: source });
      }
      answer();
    },
  };
}

const draw = (digits: number): string => String(randomInt(10 ** digits)).padStart(digits, '0');
/** Everything that was said, and everything that can be asked, but for times and the code itself. */
function told({ events, engine, now }: World, from: number): string {
  const said = events.slice(from).map(({ at: _, ...event }) => ({ ...event, code: '', until: 0 }));
  return JSON.stringify([said, engine.source(address(GUESSER), milliseconds(now))]);
}

describe('Who guesses a code', () => {
  // Against: guesses a code digit by digit, by what is struck, banned or said
  // by: a code is judged whole, at the last knock; right and wrong beginnings are alike to the last event
  it('is told nothing by any knock before the last', () => {
    for (let round = 0; round < 200; round += 1) {
      const steps = randomInt(1, 4);
      // The same knocks by one who knows so many of the digits, and by one who knows none.
      const tellings = ['right', 'drawn'].map((how) => {
        const { w, right } = guarded(8);
        w.now += randomInt(10 * STEP_MS);
        const code = how === 'right' ? right() : draw(8);
        const ports = ['7000', `1${code.slice(0, 4)}`, `2${code.slice(4)}`];
        for (const port of ports.slice(0, steps)) {
          w.now += 100;
          w.send(port, { from: GUESSER });
        }
        return told(w, 0);
      });
      expect(tellings[0]).toBe(tellings[1]);
    }
  });

  it('gets three codes for each longest ban, or two a day, and opens nothing in ten years', () => {
    for (const patience of ['none', 'two a day'] as const) {
      const { w, opened, knock } = guarded(8);
      let tries = 0;
      let waited = 0;
      for (const end = w.now + 3650 * DAY; w.now < end; ) {
        if (w.engine.bans().length > 0) w.pass(w.engine.deadline() - w.now);
        if (patience === 'two a day' && tries % 2 === 0 && tries > waited) {
          waited = tries;
          w.pass(DAY);
        }
        w.now += randomInt(1000, 100_000);
        knock(draw(8));
        tries += 1;
      }
      // 522 weeks of three tries; 3650 days of two.
      expect(tries).toBeLessThanOrEqual(patience === 'none' ? 3 * 523 : 2 * 3651);
      expect(opened.count).toBe(0);
    }
  });

  it('opens one time in 250,000 where there are six digits, and no oftener', () => {
    const { w, opened, knock } = guarded(6);
    const tries = 60_000;
    for (let index = 0; index < tries; index += 1) {
      w.now += randomInt(100, 5000);
      knock(draw(6), `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    }
    // On the average 0.24; more than 8 come once in 10¹¹ runs.
    expect(opened.count).toBeLessThanOrEqual(8);
  });

  it('is struck for digits that follow no first knock, as for any port', () => {
    const { w } = guarded(8);
    for (let index = 0; index < 3; index += 1) {
      w.now += 100;
      w.send(`1${draw(4)}`, { from: GUESSER });
    }
    expect(w.names()).toEqual(['knock.wrong', 'knock.wrong', 'knock.wrong', 'ban.added']);
  });

  it('who tries several ports for one digit breaks the attempt off by the second', () => {
    const { w } = guarded(8);
    for (const port of ['7000', '11111', '11112', '22222']) {
      w.now += 100;
      w.send(port, { from: GUESSER });
    }
    expect(w.names()).not.toContain('code.knocked');
    expect(w.names()).toContain('knock.wrong');
  });
});
