import { describe, expect, it } from 'vitest';
import {
  all,
  bus,
  fleetOfTests,
  GUEST,
  pass,
  STRANGER,
  send,
  startThree,
} from '../../support/memory-fleet.ts';

fleetOfTests();

const share = '[grants, bans, knocks]';
const doors = 'ssh: { knock: [7000, 8000, 9000], opens: [22], for: 1m }';

describe('knocks of one client at three members that share them', () => {
  it('open at all, once, and are no strike', async () => {
    const [one, two, other] = await startThree({ share, doors });
    await send(one, GUEST, 7000);
    await send(two, GUEST, 8000);
    expect(await all(one, two, other)).toEqual(Array.from({ length: 3 }, () => '0 bans, 0 grants'));
    await send(other, GUEST, 9000);
    await pass(100);
    expect(await all(one, two, other)).toEqual(Array.from({ length: 3 }, () => '0 bans, 1 grants'));
    const openings = [one, two, other].flatMap(({ said }) =>
      said.filter((event) => event.event === 'door.opened' && event.origin === undefined),
    );
    expect(openings).toHaveLength(1);
    await pass(1_000);
    expect(
      [one, two, other].flatMap(({ said }) => said.filter(({ event }) => event === 'knock.wrong')),
    ).toEqual([]);
  });

  it('that nobody has a use for are strikes at all, after `wait`', async () => {
    const [one, two, other] = await startThree({ share, doors });
    await send(one, STRANGER, 8000);
    await send(two, STRANGER, 9000);
    expect(await all(one, two, other)).toEqual(Array.from({ length: 3 }, () => '0 bans, 0 grants'));
    await pass(500);
    await send(other, STRANGER, 8000);
    await pass(500);
    await send(other, STRANGER, 9000);
    await pass(500);
    expect(await all(one, two, other)).toEqual(Array.from({ length: 3 }, () => '1 bans, 0 grants'));
  });

  it('that come while the engine is away are excused, and who goes on at one member gets in', async () => {
    const [one, two, other] = await startThree({ share, doors });
    bus.stop();
    await pass(100);
    await send(one, GUEST, 7000);
    await send(two, GUEST, 8000);
    await send(other, GUEST, 9000);
    await pass(1_000);
    expect(await all(one, two, other)).toEqual(Array.from({ length: 3 }, () => '0 bans, 0 grants'));
    await send(two, GUEST, 7000, 8000, 9000);
    expect(await all(one, two)).toEqual(['0 bans, 0 grants', '0 bans, 1 grants']);
  });
});
