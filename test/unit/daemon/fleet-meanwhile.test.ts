import { describe, expect, it } from 'vitest';
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

/* What others say between a machine's own decision and the moment at which it is told: the kernel takes its time. */

const OTHER = '203.0.113.77';
const HOUR = 3_600_000;
const [BANNED, NOT_BANNED] = ['1 bans, 0 grants', '0 bans, 0 grants'];

fleetOfTests();

/** Asked, and not waited for: it is answered once the kernel has. */
function ask(machine: Machine, request: Parameters<Machine['ask']>[0]): void {
  void machine.ask(request);
}

describe('a machine that has decided, and whose kernel has not answered', () => {
  it('does not ban whom it has lifted without knowing him, though he is told of meanwhile', async () => {
    const [one, two, edge3] = await startThree();
    two.kernel.hold();
    ask(two, { command: 'ban', address: OTHER });
    await one.ask({ command: 'ban', address: STRANGER });
    ask(two, { command: 'unban', address: STRANGER });
    await pass(200);
    two.kernel.release();
    await pass(2_000);
    expect(await all(one, two, edge3)).toEqual(Array(3).fill(BANNED));
  });

  it('bans again whom it has lifted, everywhere', async () => {
    const [one, two, edge3] = await startThree();
    two.kernel.hold();
    ask(two, { command: 'ban', address: STRANGER });
    ask(two, { command: 'unban', address: STRANGER });
    ask(two, { command: 'ban', address: STRANGER });
    await pass(200);
    two.kernel.release();
    await pass(2_000);
    expect(await all(one, two, edge3)).toEqual(Array(3).fill(BANNED));
  });

  it('has lifted all bans, and takes none that did not know of it', async () => {
    const [one, two, edge3] = await startThree();
    await two.ask({ command: 'ban', address: OTHER });
    await pass(100);
    two.kernel.hold();
    await one.ask({ command: 'ban', address: STRANGER });
    ask(two, { command: 'unban', all: true });
    await pass(200);
    two.kernel.release();
    await pass(2_000);
    expect(await all(one, two, edge3)).toEqual(Array(3).fill(NOT_BANNED));
  });

  it('tells of the end of a grant that never was in force here: it may be elsewhere', async () => {
    const [one, two, edge3] = await startThree();
    bus.cut('edge2');
    await one.ask({ command: 'grant', door: 'ssh', address: GUEST });
    two.kernel.hold();
    await send(two, GUEST, 7000, 8000);
    ask(two, { command: 'revoke', address: GUEST });
    await pass(200);
    two.kernel.refuse(({ change }) => (change === 'open' ? new Error('full') : undefined) as never);
    two.kernel.release();
    await pass(200);
    two.kernel.refuse(() => undefined);
    bus.join('edge2');
    await pass(3_000);
    expect(await all(one, two, edge3)).toEqual(Array(3).fill(NOT_BANNED));
  });
});

/** Milliseconds of the real clock. */
const PATIENCE = { timeout: 10_000, interval: 20 };

describe('a member that was away while all bans were lifted', () => {
  it.each([
    ['for less, by order', (one: Machine) => one.ask({ command: 'ban', address: STRANGER, for: 60_000 })],
    ['for strikes', (one: Machine) => send(one, STRANGER, 23, 2323)],
  ])('bans who was banned again %s no longer than the others, by the same cause', async (_, banAgain) => {
    const [one, two, edge3] = await startThree();
    await two.ask({ command: 'ban', address: STRANGER, for: HOUR });
    await pass(200);
    await stop(edge3);
    await one.ask({ command: 'unban', all: true });
    await banAgain(one);
    await pass(500);
    const again = await start('edge3', { before: edge3 });
    await pass(3_000);
    // What is looked through after a join takes turns of the real event loop, which a busy machine gives late.
    await expect
      .poll(async () => {
        await pass(100);
        const [first, ...others] = await Promise.all([one, two, again].map(inForce));
        return others.map(({ causes, until }) => ({
          // Clocks of the test go in steps.
          isAsLong: Math.abs(until - (first?.until ?? 0)) < 1_000,
          isOfOneCause: causes.length === 1 && causes[0] === first?.causes[0],
        }));
      }, PATIENCE)
      .toEqual(Array(2).fill({ isAsLong: true, isOfOneCause: true }));
  });
});

async function inForce({ kernel: { firewall }, store, clock }: Machine) {
  const { bans } = await firewall.readBack();
  const causes = store.load(clock.wall()).bans.map(({ origin }) => origin);
  return { causes, until: Math.max(...bans.map(({ until }) => until)) };
}
