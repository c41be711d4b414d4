import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeldKeys } from '../../../src/daemon/held-keys.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import type { KeyFile } from '../../../src/spa/key.ts';
import type { Claim } from '../../../src/spa/used-once.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { openStore } from '../../../src/state/sqlite.ts';
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

describe('where the state of before can be read only some time after the start', () => {
  const NOW = 1_234_567_890_000;

  it('what was used before and since is used up, however often it was', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-held-'));
    const path = join(folder, 'state.db');
    const run = fc.asyncProperty(
      ...([fc.nat(5), fc.nat(5), fc.nat(5)] as const),
      async (before, meanwhile, after) => {
        const clock = testClock(NOW);
        const ben = keyOf('ben', SECRET, { uses: 9, rate: { knocks: 99, per: milliseconds(1_000) } });
        const started = (): ReturnType<typeof startedWith> => startedWith(path, clock, fileOf(ben));

        const first = started();
        for (let time = 0; time < before; time += 1) await first.use(`before-${time}`);
        first.store.close();
        renameSync(path, `${path}.away`);
        mkdirSync(path);
        const late = started();
        for (let time = 0; time < meanwhile; time += 1) await late.use(`meanwhile-${time}`);
        rmdirSync(path);
        renameSync(`${path}.away`, path);
        clock.pass(60_000);
        late.store.write([], clock.wall());
        expect(late.store.health().ok).toBe(true);
        for (let time = 0; time < after; time += 1) await late.use(`after-${time}`);

        const total = before + meanwhile + after;
        expect(late.held.rows([])).toMatchObject([{ used: total }]);
        expect(late.held.usage().permits(ben, clock.now())).toBe(total < 9);
        for (const when of before > 0 ? ['before-0'] : []) expect(await late.outcome(when)).toBe('used');
        late.store.close();
        const again = started();
        expect(again.held.rows([])).toMatchObject([{ used: total }]);
        again.store.close();
        rmSync(path);
      },
    );
    await fc.assert(run, { numRuns: 30 }).finally(() => rmSync(folder, { recursive: true }));
  });
});

function startedWith(path: string, clock: ReturnType<typeof testClock>, file: KeyFile) {
  const { store } = openStore(path, { now: clock.wall() });
  const held = createHeldKeys({ clock, store, config: () => config });
  held.begin(file, false);
  const claim = (id: string): Promise<Claim> =>
    held
      .usedOnce()
      .claim(
        { use: 'packet', key: 'ben', id, stamp: null, source: '192.0.2.1' },
        { wall: clock.wall(), skew: 60_000 },
      );
  return {
    store,
    held,
    outcome: async (id: string): Promise<Claim['outcome']> => (await claim(id)).outcome,
    async use(id: string): Promise<void> {
      const claimed = await claim(id);
      if (claimed.outcome !== 'won') throw new Error(`${id} is ${claimed.outcome}`);
      const ben = held.named('ben');
      if (ben === undefined) throw new Error('there is no such key');
      store.write([...claimed.changes, ...held.note(ben, clock.now(), clock.wall())], clock.wall());
    },
  };
}
