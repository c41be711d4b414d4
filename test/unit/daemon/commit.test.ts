import { describe, expect, it } from 'vitest';
import { createClock } from '../../../src/clock.ts';
import { createCommit, type DoorEvent } from '../../../src/daemon/commit.ts';
import { createIntake } from '../../../src/daemon/intake.ts';
import { createEngine } from '../../../src/engine/engine.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import type { Store } from '../../../src/state/store.ts';
import { door, settings } from '../engine/world.ts';
import { tcp } from '../source/capture-bytes.ts';

/** A kernel that answers when it is told to. */
function slowKernel() {
  const waiting: (() => void)[] = [];
  const afters: (Promise<void> | undefined)[] = [];
  return {
    /** What each of the calls was to wait for. */
    afters,
    apply: (_: unknown, after?: Promise<void>) => {
      afters.push(after);
      return new Promise<void>((resolve) => waiting.push(resolve));
    },
    answer() {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

function world() {
  const kernel = slowKernel();
  const memory = openMemoryStore({}, Date.now());
  let onDisk = (): void => undefined;
  /** A disk that takes until it is told to. */
  const store: Store = {
    ...memory,
    async writeThrough(changes, now) {
      await memory.writeThrough(changes, now);
      await new Promise<void>((resolve) => {
        onDisk = resolve;
      });
    },
  };
  const clock = createClock(
    () => performance.now(),
    () => Date.now(),
    () => performance.now(),
  );
  const said: NfknockEvent[] = [];
  const commit = createCommit({
    clock,
    store,
    firewall: kernel,
    cut: () => false,
    grant: () => undefined,
    usedBy: () => [],
    announce: (event) => said.push(event),
    inForce: () => undefined,
    failed: () => undefined,
  });
  let host = 0;
  const ban = (count: number): void => {
    for (let each = 0; each < count; each += 1) {
      host += 1;
      commit.take({
        event: 'ban.added',
        at: clock.now(),
        target: { address: { family: 4, a: host, b: 0, c: 0, d: 0 }, bits: 32 },
        until: milliseconds(clock.now() + 60_000),
        count: 1,
        strikes: 3,
        reason: 'strikes',
      });
    }
    commit.flush();
  };
  return { commit, kernel, said, ban, clock, memory, write: () => onDisk() };
}

describe('bans that the kernel has not taken yet', () => {
  it('are not announced', async () => {
    const { commit, kernel, said, ban } = world();
    ban(3);
    const drained = commit.drained();
    expect(said).toEqual([]);
    kernel.answer();
    await drained;
    expect(said.map(({ event }) => event)).toEqual(['ban.added', 'ban.added', 'ban.added']);
  });

  // Against: a flood of would-be bans while the kernel's tables are held up
  // by: 65,536 bans wait at most; beyond that packets are left unjudged, counted and said
  it('are 65,536 at most: then no packet is judged until the kernel has answered', async () => {
    const { commit, kernel, ban } = world();
    ban(40_000);
    expect(commit.isFull()).toBe(false);
    ban(25_535);
    expect(commit.isFull()).toBe(false);
    ban(1);
    expect(commit.isFull()).toBe(true);
    const drained = commit.drained();
    expect(commit.isFull()).toBe(true);
    kernel.answer();
    await drained;
    expect(commit.isFull()).toBe(false);
  });

  it('leave packets unjudged and counted while they are too many', () => {
    let full = false;
    const engine = createEngine(settings({ doors: [door({})] }), [1, 2]);
    const intake = createIntake({
      clock: createClock(
        () => performance.now(),
        () => Date.now(),
        () => performance.now(),
      ),
      engine,
      history: { record: () => undefined, of: () => [], forgotten: () => 0 },
      emit: () => undefined,
      after: () => undefined,
      isFull: () => full,
      prove: () => false,
      share: (_, outcome) => outcome,
    });
    const bytes = tcp({ from: '198.51.100.7', to: '192.0.2.1', port: 7000, sequence: 1 });
    const batch = {
      bytes,
      offsets: Int32Array.of(0),
      lengths: Int32Array.of(bytes.length),
      stamps: Float64Array.of(0),
    };
    full = true;
    intake.onBatch(batch, 1);
    expect([engine.sizes().attempts, intake.shed()]).toEqual([0, 1]);
    full = false;
    intake.onBatch(batch, 1);
    expect([engine.sizes().attempts, intake.shed()]).toEqual([1, 1]);
  });
});

describe('what a power cut must not undo', () => {
  const target = { address: { family: 4, a: 7, b: 0, c: 0, d: 0 }, bits: 32 } as const;

  it('is kept at once, and in force no earlier than the disk has it', async () => {
    const { commit, kernel, said, clock, memory, write } = world();
    const until = milliseconds(clock.now() + 60_000);
    commit.take({
      ...{ event: 'ban.added', at: clock.now(), target, until },
      ...{ count: 1, strikes: 0, reason: 'order' },
    });
    commit.flush();
    expect(memory.load(clock.wall()).bans).toHaveLength(1);
    let isOnDisk = false;
    kernel.afters[0]?.then(() => {
      isOnDisk = true;
    });
    await new Promise(setImmediate);
    expect(isOnDisk).toBe(false);
    write();
    await kernel.afters[0];
    expect(isOnDisk).toBe(true);
    const drained = commit.drained();
    kernel.answer();
    await drained;
    expect(said.map(({ event }) => event)).toEqual(['ban.added']);
  });

  it('is waited for by nothing else: a knock opens, and a strike bans, without the disk', () => {
    const { commit, kernel, clock, ban } = world();
    ban(1);
    commit.take({
      ...{ event: 'door.opened', at: clock.now(), door: 'ssh', grantee: target, source: target.address },
      ...{ until: milliseconds(clock.now() + 60_000), reason: 'knock' },
    } as DoorEvent);
    commit.flush();
    expect(kernel.afters).toEqual([undefined, undefined]);
  });
});
