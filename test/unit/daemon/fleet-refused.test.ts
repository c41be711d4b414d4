import { expect, it } from 'vitest';
import type { Status } from '../../../src/control/status.ts';
import { encode } from '../../../src/fleet/message.ts';
import type { BanRegister } from '../../../src/fleet/register.ts';
import { rowOf } from '../../../src/fleet/row.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import { all, bus, fleetOfTests, kernel, pass, start, stop } from '../../support/memory-fleet.ts';
import { NOW } from '../../support/test-clock.ts';

/* What is refused for a reason that passes is said by nobody again: it is read again. */

fleetOfTests();

it('more bans in a second than are taken from one member are in force some seconds later', async () => {
  const one = await start('edge1', { accept: '{ each: { bans_per_second: 2 } }' });
  const two = await start('edge2');
  await pass(1_500);
  // The first is read, whatever the doorbell said.
  await two.ask({ command: 'ban', address: '203.0.113.1' });
  await pass(2_500);
  for (let last = 1; last <= 9; last += 1) await two.ask({ command: 'ban', address: `203.0.113.${last}` });
  await pass(200);
  const [at, own] = await all(one, two);
  expect(own).toBe('9 bans, 0 grants');
  expect(at).not.toBe(own);
  await pass(4_000);
  expect(await kernel(one)).toBe(own);
  // And lifts of as many.
  for (let last = 1; last <= 9; last += 1) await two.ask({ command: 'unban', address: `203.0.113.${last}` });
  await pass(65_000);
  expect(await all(one, two)).toEqual(['0 bans, 0 grants', '0 bans, 0 grants']);
});

it('what a member with a clock that is ahead has said is believed once its moment has come', async () => {
  const one = await start('edge1');
  await pass(1_500);
  const since = NOW + 30_000;
  const ban: BanRegister = {
    ...{ kind: 'ban', target: hostCidr(ipv4(0xcb00_7109)), cause: 'order', gen: 0, count: 1 },
    ...{ since, until: since + 600_000 },
  };
  const other = bus.bus('edge9');
  other.listen({ connected() {}, disconnected() {}, heard() {} });
  await pass(200);
  const message = encode({ kind: 'ban', number: 1, time: NOW, records: [ban] });
  other.tell({ rows: [rowOf(ban, 'keep')], message }, () => undefined);
  await pass(10_000);
  expect(await kernel(one)).toBe('0 bans, 0 grants');
  await pass(20_000);
  expect(await kernel(one)).toBe('1 bans, 0 grants');
});

it('grants over the number of a minute are in force some minutes later', async () => {
  const doors = 'ssh: { knock: [7000, 8000], opens: [22], for: 1h }';
  const one = await start('edge1', { doors, accept: '{ each: { grants_per_minute: 2 } }' });
  const two = await start('edge2', { doors });
  await pass(1_500);
  for (let last = 1; last <= 5; last += 1)
    await two.ask({ command: 'grant', door: 'ssh', address: `203.0.113.${last}` });
  await pass(200);
  expect(await all(one, two)).toEqual(['0 bans, 2 grants', '0 bans, 5 grants']);
  await pass(150_000);
  expect(await kernel(one)).toBe('0 bans, 5 grants');
});

it('bans for which a member had no room left are in force once it has', async () => {
  const one = await start('edge1', { accept: '{ each: { bans: 4 } }' });
  const two = await start('edge2');
  await pass(1_500);
  const ban = async (host: number, lasts: number): Promise<void> =>
    void (await two.ask({ command: 'ban', address: `203.0.113.${host}`, for: lasts }));
  for (let host = 1; host <= 4; host += 1) await ban(host, 5_000);
  for (let host = 11; host <= 13; host += 1) await ban(host, 3_600_000);
  await pass(200);
  expect(await all(one, two)).toEqual(['4 bans, 0 grants', '7 bans, 0 grants']);
  await pass(30_000);
  expect(await all(one, two)).toEqual(['3 bans, 0 grants', '3 bans, 0 grants']);
});

it('a member that the owner of the engine has taken out is listed no more, and one that is away is', async () => {
  const one = await start('edge1');
  const [two, other] = [await start('edge2'), await start('edge3')];
  await pass(1_500);
  await stop(two);
  await stop(other);
  await pass(7_000);
  const members = async (): Promise<readonly string[]> => {
    const answer = await one.ask({ command: 'status' });
    const { fleet } = (answer.ok ? answer.data : expect.unreachable()) as Status;
    return (fleet?.members ?? []).map(({ name }) => name);
  };
  expect(await members()).toEqual(['edge2', 'edge3']);
  bus.forget('edge2');
  await pass(2_500);
  expect(await members()).toEqual(['edge3']);
});
