import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../../src/daemon/assemble.ts';
import type { Core } from '../../../src/daemon/dependencies.ts';
import { reconcile } from '../../../src/daemon/reconcile.ts';
import { banLeft, grantLeft } from '../../../src/daemon/restore-plan.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import type { StateChange } from '../../../src/state/store.ts';
import { memoryMachine } from '../../support/memory-machine.ts';
import { testClock } from '../../support/test-clock.ts';
import { cidr, grant, NOW } from '../state/example.ts';

/*
 * A machine that was off for a while, and whose wall clock is wrong when it starts: by how much, whether something sets
 * it right, and when, is drawn. The clocks are the test's own; the daemon is whole but for kernel, file and packets.
 */

const SECOND = 1_000;
const DAY = 86_400_000;
const CONFIG = `{ doors: { ssh: { knock: [7000, 8000], opens: [22] } }, memory: { sources: 1024 }, bans: { limit: 1024 } }`;
const GUEST = '198.51.100.7';
const OFFENDER = '203.0.113.9';

interface Start {
  /** What was kept, by a clock that was right. */
  readonly kept: readonly StateChange[];
  readonly seen: number;
  /** The truth at the start, and what the clock says then. */
  readonly truth: number;
  readonly wall: number;
  readonly boot?: 'same' | 'another';
  readonly rtc?: boolean;
  readonly synchronised?: boolean;
}

/** A daemon that has just started; time passes when the test says so. */
async function start({ kept, seen, truth, wall, boot = 'another', ...clockIs }: Start) {
  const clock = testClock(wall);
  const begun = clock.now();
  const trust = { boot: 'b', synchronised: () => synchronised, hasRtc: () => clockIs.rtc === true };
  let synchronised = clockIs.synchronised === true;
  let isOf = boot === 'same';
  const memory = openMemoryStore({}, 0);
  memory.write(kept, 0);
  // As the state file does: it is later than what was seen, whatever the clock says.
  const store = {
    ...memory,
    ended: (now: number) => memory.ended(Math.max(now, seen)),
    load: (now: number) => memory.load(Math.max(now, seen)),
    seen: () => seen,
    isOf: () => isOf,
    belongsTo: () => {
      isOf = true;
    },
  };
  const { config, dependencies, said } = memoryMachine(CONFIG, { clock, store }, { trust });
  const { firewall } = dependencies;
  await firewall.install();
  const subject = { config, configFile: 'test', version: '0', fail: () => undefined };
  const core: Core = assemble(dependencies, subject);
  await reconcile(core, 'known');
  const look = async (): Promise<void> => {
    core.restored.look();
    core.execute({ command: 'exempt', networks: [] });
    await core.effects.drained();
  };
  return {
    core,
    said,
    store,
    trusts: () => isOf,
    /** The truth, if nothing else than time has passed. */
    now: () => truth + clock.now() - begun,
    async pass(ms: number) {
      clock.pass(ms);
      await look();
    },
    async stepTo(to: number) {
      const by = to - clock.wall();
      clock.setWall(to);
      if (by > 0) core.restored.settle();
      await look();
    },
    async synchronise() {
      synchronised = true;
      await look();
    },
    /** How long the engine holds it from now; undefined: not in force. */
    grantLeft: () => leftOf(core.engine.grants()[0]?.until, clock.now()),
    banLeft: () => leftOf(core.engine.bans()[0]?.until, clock.now()),
    inKernel: async () => (await firewall.readBack()).grants.length > 0,
  };
}

function leftOf(until: number | undefined, now: number): number | undefined {
  return until === undefined || until <= now ? undefined : until - now;
}

const lasting = (since: number, length: number): readonly StateChange[] => [
  grant('ssh', GUEST, { since, until: since + length }),
  {
    change: 'ban',
    ban: { target: cidr(`${OFFENDER}/32`), since, until: since + length, count: 1, origin: 'strikes' },
  },
];

describe('after a reboot with a clock that is behind', () => {
  const history = fc.record({
    length: fc.integer({ min: SECOND, max: 7 * DAY }),
    // Written so long before the machine went off, and off so long.
    before: fc.integer({ min: 0, max: 8 * DAY }),
    off: fc.integer({ min: 0, max: 8 * DAY }),
    behind: fc.oneof(fc.integer({ min: 1, max: 60 * SECOND }), fc.integer({ min: 1, max: 20_000 * DAY })),
    waits: fc.integer({ min: 0, max: 9 * DAY }),
  });

  // Against: a grant that had ended, brought back by a clock that was behind at boot, and stretched by the step that
  // set it right
  // by: no grant of another boot before the clock is synchronised; a step forward ends and never lengthens
  it('no grant is in force before the clock is synchronised, and none then that has ended or lasts longer', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ length, before, off, behind, waits }) => {
        const truth = NOW + before + off;
        const wall = Math.max(0, truth - behind);
        const run = await start({ kept: lasting(NOW, length), seen: NOW + before, truth, wall });
        const wasOver = length <= before;
        expect(run.grantLeft()).toBeUndefined();
        expect(await run.inKernel()).toBe(false);
        expect(run.core.restored.waiting()).toBe(wasOver || wall >= NOW + length ? 0 : 1);
        await run.pass(waits);
        // Waiting opens nothing, nor does a step that nobody vouches for.
        expect(await run.inKernel()).toBe(false);
        await run.stepTo(run.now());
        expect(await run.inKernel()).toBe(false);
        await run.synchronise();
        const left = NOW + length - run.now();
        expect(run.grantLeft() ?? 0).toBeLessThanOrEqual(Math.max(0, left) + 1);
        if (left > 1 && !wasOver && wall < NOW + length) {
          expect(run.grantLeft()).toBeGreaterThanOrEqual(left - 1);
          expect(await run.inKernel()).toBe(true);
        }
        if (left <= 0) expect(await run.inKernel()).toBe(false);
        await run.pass(Math.max(0, left) + 1);
        expect(await run.inKernel()).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  // Against: a ban shortened or stretched by a clock that was behind at boot
  // by: its whole length from then, and no more
  it('a ban that began in the future keeps its whole length, and is over once the clock says so', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ length, before, off, behind, waits }) => {
        const truth = NOW + before + off;
        const wall = Math.max(0, truth - behind);
        const run = await start({ kept: lasting(NOW, length), seen: NOW + before, truth, wall });
        const left = run.banLeft() ?? 0;
        expect(left).toBeLessThanOrEqual(length + 1e-3);
        if (wall < NOW && length > before) expect(Math.abs(left - length)).toBeLessThan(1);
        await run.pass(waits);
        expect(run.banLeft() ?? 0).toBeLessThanOrEqual(Math.max(0, left - waits) + 1e-3);
        await run.stepTo(run.now());
        // By the right clock: over if it is over, and never longer than it was.
        expect(run.banLeft() ?? 0).toBeLessThanOrEqual(
          Math.max(0, Math.min(NOW + length - run.now(), left - waits)) + 1,
        );
      }),
      { numRuns: 200 },
    );
  });

  it('revoked while it waits, a grant does not come back; knocked for anew, it is one of this boot', async () => {
    const at = { kept: lasting(NOW, DAY), seen: NOW, truth: NOW + SECOND, wall: 0 };
    const revoked = await start(at);
    expect(revoked.core.execute({ command: 'revoke', address: cidr(`${GUEST}/32`).address })).toEqual({
      ok: true,
      changed: 1,
    });
    await revoked.stepTo(revoked.now());
    await revoked.synchronise();
    expect(await revoked.inKernel()).toBe(false);
    expect(revoked.said).toContainEqual(expect.objectContaining({ event: 'door.closed', reason: 'revoked' }));

    const anew = await start(at);
    anew.core.execute({ command: 'grant', door: 'ssh', address: cidr(`${GUEST}/32`).address });
    await anew.stepTo(anew.now());
    await anew.synchronise();
    expect(anew.core.engine.grants()).toHaveLength(1);
    expect(anew.grantLeft()).toBeLessThan(60 * SECOND);
  });
});

describe('what is in force at once', () => {
  const kept = lasting(NOW, DAY);
  const behind = { kept, seen: NOW + SECOND, truth: NOW + 2 * SECOND, wall: NOW };
  it.each([
    ['in the same boot, whatever the clock says', { ...behind, boot: 'same' as const }, true],
    ['where the clock is synchronised', { ...behind, synchronised: true }, true],
    ['where a clock with a battery is not behind', { ...behind, wall: NOW + SECOND, rtc: true }, true],
    ['not where a clock with a battery is behind', { ...behind, rtc: true }, false],
    ['not without one, though the clock is not behind', { ...behind, wall: NOW + 2 * SECOND }, false],
  ])('%s', async (_, at, opens) => {
    const run = await start(at);
    expect(await run.inKernel()).toBe(opens);
    expect(run.trusts()).toBe(opens);
    if (opens) expect(run.grantLeft()).toBeLessThanOrEqual(DAY);
  });

  it('is ended by a later step forward, by the wall clock; what was made since is not', async () => {
    const run = await start({ kept, seen: NOW, truth: NOW, wall: NOW + 1, rtc: true });
    run.core.execute({ command: 'grant', door: 'ssh', address: cidr('198.51.100.8/32').address });
    run.core.execute({ command: 'ban', address: cidr('203.0.113.10/32').address });
    await run.stepTo(NOW + DAY / 2);
    expect(run.grantLeft()).toBeLessThanOrEqual(DAY / 2 + 1);
    await run.stepTo(NOW + DAY);
    const grants = run.core.engine.grants();
    expect(grants.map(({ grantee }) => (grantee === 'any' ? grantee : formatCidr(grantee)))).toEqual([
      '198.51.100.8',
    ]);
    expect(run.core.engine.bans().map(({ target }) => formatCidr(target))).toEqual(['203.0.113.10']);
    expect(run.said).toContainEqual(expect.objectContaining({ event: 'door.closed', reason: 'expired' }));
  });
});

describe('what is left', () => {
  it('is never longer than the whole, whatever the clocks say', () => {
    const moment = fc.integer({ min: 0, max: 2 * NOW });
    fc.assert(
      fc.property(
        moment,
        moment,
        moment,
        fc.integer({ min: 1, max: 30 * DAY }),
        (wall, seen, since, length) => {
          const span = { since, until: since + length };
          expect(grantLeft(span, { wall, seen })).toBeLessThanOrEqual(length);
          expect(banLeft(span, { wall, seen })).toBeLessThanOrEqual(length);
          if (since > wall) expect(banLeft(span, { wall, seen })).toBe(length);
          if (Math.max(wall, seen) >= span.until)
            expect(grantLeft(span, { wall, seen })).toBeLessThanOrEqual(0);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
