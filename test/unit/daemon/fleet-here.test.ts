import { describe, expect, it } from 'vitest';
import { registerFrom, registerText } from '../../../src/daemon/fleet-registers.ts';
import {
  all,
  bus,
  fleetOfTests,
  GUEST,
  type Machine,
  pass,
  STRANGER,
  send,
  start,
  startThree,
  stop,
} from '../../support/memory-fleet.ts';

/* What holds on one machine alone, and what a lift ends, over a restart at which all is heard anew. */

const HOUR = 3_600_000;
const [NOTHING, BAN, GRANT] = ['0 bans, 0 grants', '1 bans, 0 grants', '0 bans, 1 grants'];

fleetOfTests();

async function ask(machine: Machine, request: object): Promise<void> {
  expect(await machine.ask(request)).toMatchObject({ ok: true });
  await pass(100);
}

const ban = (more: object = {}): object => ({ command: 'ban', address: STRANGER, for: HOUR, ...more });
const unban = (more: object = {}): object => ({ command: 'unban', address: STRANGER, ...more });
const grant = (more: object = {}): object => ({
  ...{ command: 'grant', door: 'ssh', address: GUEST, for: HOUR },
  ...more,
});
const revoke = (more: object = {}): object => ({ command: 'revoke', address: GUEST, ...more });
const here = { here: true };

async function startAgain(name: string, before: Machine, given: Parameters<typeof start>[1] = {}) {
  await stop(before);
  bus.join(name);
  const again = await start(name, { ...given, before });
  await pass(3_000);
  return again;
}

describe('after a restart', () => {
  it('a grant and a ban of this machine alone stand, though others had lifted earlier ones', async () => {
    const [one, two] = await startThree();
    for (const request of [grant(), ban(), revoke(), unban()]) await ask(two, request);
    for (const request of [grant(here), ban(here)]) await ask(one, request);
    const again = await startAgain('edge1', one);
    expect(await all(again, two)).toEqual(['1 bans, 1 grants', NOTHING]);
  });

  it('they stand too where nothing of the kind is shared', async () => {
    const [one, two] = [await start('edge1', { share: '[]' }), await start('edge2')];
    await pass(1_500);
    for (const request of [grant(), ban(), revoke(), unban()]) await ask(two, request);
    for (const request of [grant(), ban()]) await ask(one, request);
    const again = await startAgain('edge1', one, { share: '[]' });
    expect(await all(again, two)).toEqual(['1 bans, 1 grants', NOTHING]);
  });

  it('they end by a lift of which they did not know, made while the machine was away', async () => {
    const [one, two, edge3] = await startThree();
    for (const request of [grant(), ban(), revoke(), unban()]) await ask(two, request);
    for (const request of [grant(here), ban(here)]) await ask(one, request);
    await stop(one);
    for (const request of [grant(), ban(), revoke(), unban()]) await ask(two, request);
    bus.join('edge1');
    const again = await start('edge1', { before: one });
    await pass(3_000);
    expect(await all(again, two, edge3)).toEqual(Array(3).fill(NOTHING));
  });

  it('a ban of this machine alone that was made after all were lifted stands; one from before does not', async () => {
    const [one, two] = await startThree();
    await ask(one, ban(here));
    await ask(two, ban({ address: '203.0.113.77' }));
    await stop(one);
    await ask(two, { command: 'unban', all: true });
    bus.join('edge1');
    const between = await start('edge1', { before: one });
    await pass(3_000);
    expect(await all(between, two)).toEqual([NOTHING, NOTHING]);
    await ask(between, ban(here));
    const again = await startAgain('edge1', between);
    expect(await all(again, two)).toEqual([BAN, NOTHING]);
  });

  it("what was lifted and closed here alone stays so, and another's newer word counts", async () => {
    const [one, two] = await startThree();
    for (const request of [grant(), ban()]) await ask(two, request);
    for (const request of [revoke(here), unban(here)]) await ask(one, request);
    const again = await startAgain('edge1', one);
    expect(await all(again, two)).toEqual([NOTHING, '1 bans, 1 grants']);
    for (const request of [grant(), ban({ for: 2 * HOUR })]) await ask(two, request);
    expect(await all(again, two)).toEqual(Array(2).fill('1 bans, 1 grants'));
  });

  it('all bans that were lifted here alone stay so', async () => {
    const [one, two] = await startThree();
    for (const address of [STRANGER, GUEST]) await ask(two, ban({ address }));
    await ask(one, { command: 'unban', all: true, here: true });
    const again = await startAgain('edge1', one);
    expect(await all(again, two)).toEqual([NOTHING, '2 bans, 0 grants']);
  });

  it('a lift that was heard and not carried out ends what had been made after it without knowing it', async () => {
    const [one, two, edge3] = await startThree();
    for (const request of [grant(), ban()]) await ask(two, request);
    bus.cut('edge1');
    for (const request of [revoke(), unban()]) await ask(two, request);
    await ask(one, grant());
    await ask(one, ban({ for: 2 * HOUR }));
    expect(await all(one)).toEqual(['1 bans, 1 grants']);
    await stop(one);
    // It had taken the lifts for its own word, which is durable before anything comes of it, and was killed.
    const { registers } = two.store.fleet();
    for (const [key, { value }] of registers) {
      const lift = registerFrom(value);
      if (lift !== undefined)
        one.store.write([{ change: 'register', key, value: registerText(lift), untold: true }]);
    }
    bus.join('edge1');
    const again = await start('edge1', { before: one });
    await pass(3_000);
    expect(await all(again, two, edge3)).toEqual(Array(3).fill(NOTHING));
  });
});

it('what was opened anew here is not closed by a lift that it knew of, once the opening before it is told', async () => {
  const [one, two, edge3] = await startThree();
  bus.cut('edge1');
  await pass(100);
  one.kernel.hold();
  await send(one, GUEST, 7000, 8000);
  await ask(two, grant());
  await ask(two, revoke());
  bus.join('edge1');
  await pass(3_000);
  await send(one, GUEST, 7000, 8000);
  // The one before it is told; of this one the kernel knows nothing yet.
  one.kernel.release();
  one.kernel.hold();
  await pass(200);
  bus.cut('edge1');
  await pass(200);
  bus.join('edge1');
  await pass(3_000);
  one.kernel.release();
  await pass(3_000);
  expect(await all(one, two, edge3)).toEqual(Array(3).fill(GRANT));
});

it('a grant that waits for the clock does not come back where another member has taken it back', async () => {
  const [one, two, edge3] = await startThree();
  await ask(one, grant());
  await stop(one);
  let isRight = false;
  const trust = { boot: 'another', synchronised: () => isRight, hasRtc: () => false };
  const before = { ...one, store: { ...one.store, isOf: () => false } };
  bus.join('edge1');
  const again = await start('edge1', { before, others: { trust } });
  await pass(1_500);
  expect(await all(again, two, edge3)).toEqual([NOTHING, GRANT, GRANT]);
  await ask(two, revoke());
  isRight = true;
  await pass(3_000);
  expect(await all(again, two, edge3)).toEqual(Array(3).fill(NOTHING));
});
