import { describe, expect, it } from 'vitest';
import { createHeldKeys } from '../../../src/daemon/held-keys.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { configOf } from '../../support/memory-machine.ts';
import { testClock } from '../../support/test-clock.ts';
import { fileOf, keyOf, SECRET } from '../spa/spa-world.ts';

/* A packet whose claim is under way when the key file is read anew opens, if its key is as it was. */

const config = configOf('{ listen: { spa: [62201/udp] }, doors: { ssh: { knock: spa, opens: [22] } } }');

it('a key is the same after another was added, and not after it was changed or rotated', () => {
  const clock = testClock();
  const held = createHeldKeys({ clock, store: openMemoryStore({}, clock.wall()), config: () => config });
  const ben = keyOf('ben', SECRET);
  held.begin(fileOf(ben), false);
  const before = held.named('ben');
  const other = keyOf('ada', { kind: 'secret', secret: Buffer.alloc(32, 7) });
  const again = { ...ben, credential: { ...SECRET, secret: Buffer.alloc(32, 9) } as const };
  held.take(fileOf(again, other));
  expect(held.named('ben')).toBe(before);
  held.take(fileOf({ ...ben, doors: ['web'] }, other));
  expect(held.named('ben')).not.toBe(before);
  held.take(fileOf({ ...ben, credential: { kind: 'secret', secret: Buffer.alloc(32, 8) } }, other));
  expect(held.named('ben')).not.toBe(before);
});

describe('where what was used before the start is not known any more', () => {
  const START = 1_234_567_890_400;
  const SECOND = START - 400;

  const claim = async (stamp: number): Promise<string> => {
    const clock = testClock(START);
    const held = createHeldKeys({ clock, store: openMemoryStore({}, 0), config: () => config });
    held.begin(fileOf(keyOf('ben', SECRET)), true);
    clock.pass(1_500);
    const use = { use: 'packet', key: 'ben', id: 'aa', stamp, source: '192.0.2.1' } as const;
    return (await held.usedOnce().claim(use, { wall: clock.wall(), skew: 60_000 })).outcome;
  };

  it.each([
    ['a minute before it', START - 60_000],
    ['in the second before, as a client writes it that knows whole seconds', SECOND - 1000],
    ['in its second, before it', START - 300],
    ['at its millisecond', START],
  ])('a packet made %s is not believed', async (_, stamp) => {
    expect(await claim(stamp)).toBe('old');
  });

  it.each([
    ['a millisecond after it', START + 1],
    ['in its second, as a client writes it that knows whole seconds', SECOND],
    ['in the next second', SECOND + 1000],
  ])('a packet made %s is', async (_, stamp) => {
    expect(await claim(stamp)).toBe('won');
  });
});
