import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memberLines } from '../../../src/cli/fleet/members.ts';
import { banLines, grantLines } from '../../../src/cli/output/lists.ts';
import type { BanRow, Explanation, GrantRow } from '../../../src/control/answers.ts';
import type { Status } from '../../../src/control/status.ts';
import type { Bus, Done } from '../../../src/fleet/bus.ts';
import type { Reading } from '../../../src/metrics/registry.ts';
import {
  all,
  bus,
  fleetOfTests,
  GUEST,
  kernel,
  type Machine,
  pass,
  STRANGER,
  send,
  start,
  stop,
} from '../../support/memory-fleet.ts';
import { temporaryFolder } from '../../support/scratch.ts';
import { NOW } from '../../support/test-clock.ts';

fleetOfTests();

const VIEW = { width: null, now: NOW };

async function ask<Data>(machine: Machine, request: object): Promise<Data> {
  const answer = await machine.ask(request);
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  const { data } = answer;
  // Lists come a row at a time.
  const isLazy = typeof data === 'object' && Symbol.iterator in data && !Array.isArray(data);
  return (isLazy ? [...(data as Iterable<unknown>)] : data) as Data;
}
const status = (machine: Machine): Promise<Status> => ask<Status>(machine, { command: 'status' });
const words = async (machine: Machine): Promise<readonly string[]> =>
  (await status(machine)).problems.map(({ what, fix }) => `${what} → ${fix}`);

function refuse<T>(done: Done<T>, reason: string): void {
  setImmediate(() => done({ ok: false, reason, unsure: false }));
}

describe('--here', () => {
  it('bans, lifts, grants and revokes on this machine alone', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    await ask(one, { command: 'ban', address: STRANGER, here: true });
    await ask(one, { command: 'grant', door: 'ssh', address: GUEST, here: true });
    await pass(1500);
    expect(await all(one, two)).toEqual(['1 bans, 1 grants', '0 bans, 0 grants']);

    await ask(two, { command: 'ban', address: STRANGER });
    await ask(two, { command: 'grant', door: 'ssh', address: GUEST });
    await pass(200);
    expect(await all(one, two)).toEqual(Array(2).fill('1 bans, 1 grants'));
    await ask(two, { command: 'unban', address: STRANGER, here: true });
    await ask(two, { command: 'revoke', address: GUEST, here: true });
    await pass(1500);
    expect(await all(one, two)).toEqual(['1 bans, 1 grants', '0 bans, 0 grants']);
  });

  it('lifts all bans of this machine alone', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    for (const address of [STRANGER, GUEST]) await ask(one, { command: 'ban', address });
    await pass(200);
    await ask(two, { command: 'unban', all: true, here: true });
    await pass(1500);
    expect(await all(one, two)).toEqual(['2 bans, 0 grants', '0 bans, 0 grants']);
  });
});

describe('the column FROM', () => {
  it('says whose word a ban or grant is, and is not there where all is of this machine', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    await send(one, GUEST, 7000, 8000);
    await pass(200);
    const lists = async (machine: Machine): Promise<readonly string[]> => [
      ...banLines(await ask<BanRow[]>(machine, { command: 'bans' }), VIEW),
      ...grantLines(await ask<GrantRow[]>(machine, { command: 'grants' }), VIEW),
    ];
    const [bansTitle, ban, grantsTitle, grant] = await lists(two);
    expect(bansTitle).toMatch(/^BANNED .* FROM$/);
    expect(ban).toMatch(/^203\.0\.113\.9 .* edge1$/);
    expect(grantsTitle).toMatch(/^DOOR .* FROM$/);
    expect(grant).toMatch(/^ssh +198\.51\.100\.7 .* edge1$/);
    expect((await lists(one)).join('\n')).not.toMatch(/FROM|edge/);
  });
});

describe('hooks', () => {
  it('are told at which member a door was knocked at', async () => {
    const doors =
      "ssh: { knock: [7000, 8000], opens: [22], for: 1m, on_open: ['/bin/true', '%MEMBER%'], on_close: ['/bin/true', '%MEMBER%'] }";
    const [one, two] = [await start('edge1', { doors }), await start('edge2', { doors })];
    await pass(1500);
    await send(one, GUEST, 7000, 8000);
    await pass(200);
    await ask(two, { command: 'revoke', address: GUEST });
    await pass(200);
    const told = ({ ran }: Machine): readonly unknown[] => ran.map(({ subject }) => subject.member);
    expect([told(one), told(two)]).toEqual([
      ['edge1', 'edge2'],
      ['edge1', 'edge2'],
    ]);
  });
});

describe('status', () => {
  it('has the members, what they hold, and no problem', async () => {
    const [one] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    await pass(2500);
    const { fleet, problems } = await status(one);
    expect(problems).toEqual([]);
    expect(fleet).toMatchObject({ name: 'edge1', engine: 'redis://127.0.0.1:6379', up: true, outbox: 0 });
    expect(fleet).toMatchObject({ offset: 0, parked: 0, refused: 0, shed: 0 });
    expect(fleet?.claims).toEqual({ won: 0, used: 0, shut: 0 });
    const [other] = fleet?.members ?? [];
    expect(other).toMatchObject({ name: 'edge2', version: '0', offset: 0, bans: 0, grants: 0, differs: [] });
    expect(other?.lag).toBeLessThan(2_500);
    const lines = memberLines(fleet ?? expect.unreachable(), VIEW);
    expect(lines[0]).toMatch(
      /^edge1 at redis:\/\/127\.0\.0\.1:6379: up since .* UTC, clock as the engine's$/,
    );
    expect(lines.at(-1)).toMatch(/^edge2 +0 .* \d+ ms +0 ms +0 +0$/);
  });

  it('says that the engine does not answer, and since when', async () => {
    const one = await start('edge1');
    await pass(1500);
    bus.cut('edge1');
    await pass(100);
    expect(await words(one)).toEqual([
      expect.stringMatching(
        /^the fleet's engine does not answer since \d\d:\d\d: .+ → doors and bans go on here; one-time doors stay shut; start it$/,
      ),
    ]);
    const { fleet } = await status(one);
    expect(fleet?.up).toBe(false);
    expect(memberLines(fleet ?? expect.unreachable(), VIEW)[0]).toContain(': apart since ');
  });

  it('says that a door is defined otherwise elsewhere', async () => {
    const one = await start('edge1');
    await start('edge2', { doors: 'ssh: { knock: [7000, 8001], opens: [22], for: 1m }' });
    await pass(2500);
    expect(await words(one)).toEqual([
      "door ssh is defined otherwise at edge2: grants are taken with this machine's ports and times → give all members the same doors",
    ]);
    const { fleet } = await status(one);
    expect(fleet?.members).toMatchObject([{ name: 'edge2', differs: ['ssh'] }]);
    expect(memberLines(fleet ?? expect.unreachable(), VIEW).at(-1)).toMatch(/ ssh$/);
  });

  it('says that a member has told as many bans as are taken', async () => {
    const one = await start('edge1', { accept: '{ each: { bans: 2 } }' });
    const two = await start('edge2');
    await pass(1500);
    for (const last of [1, 2, 3]) await ask(two, { command: 'ban', address: `203.0.113.${last}` });
    await pass(1500);
    expect(await kernel(one)).toBe('2 bans, 0 grants');
    expect(await words(one)).toEqual([
      'edge2 has told 2 bans: more are not taken → see what edge2 bans; or raise fleet.accept.each.bans',
    ]);
    const { fleet } = await status(one);
    expect(fleet?.refused).toBeGreaterThan(0);
  });

  it("says that a member's clock is off", async () => {
    const one = await start('edge1');
    const two = await start('edge2');
    await pass(1500);
    two.clock.setWall(two.clock.wall() + 7_000);
    await pass(2500);
    expect(await words(one)).toEqual([
      "edge2's clock is 7 s off the engine's → start systemd-timesyncd or chrony at edge2",
    ]);
    expect((await status(one)).fleet?.members).toMatchObject([{ name: 'edge2', offset: 7_000 }]);
  });

  it.each([
    [
      'a login',
      (from: Bus): Bus => ({
        ...from,
        listen: (to) => void setImmediate(() => to.disconnected('WRONGPASS invalid username-password pair')),
      }),
      "the fleet's engine refuses edge1 (WRONGPASS invalid username-password pair) → load what `nfknock fleet users edge1` prints",
    ],
    [
      'a right',
      (from: Bus): Bus => ({
        ...from,
        tell: (_, done) => refuse(done, "NOPERM no permission to run 'xadd'"),
      }),
      "the fleet's engine refuses edge1 (NOPERM no permission to run 'xadd') → load what `nfknock fleet users edge1` prints",
    ],
    [
      'a write, since its disk is full',
      (from: Bus): Bus => ({ ...from, tell: (_, done) => refuse(done, 'MISCONF errors writing to the AOF') }),
      "the fleet's engine refuses edge1 (MISCONF errors writing to the AOF) → see `nfknock fleet check`, and the log of the engine",
    ],
  ])('says that the engine refuses %s', async (_, changed, problem) => {
    const fleet = { openBus: () => changed(bus.bus('edge1')), secret: 'a secret' };
    const one = await start('edge1', { others: { fleet } });
    await ask(one, { command: 'ban', address: STRANGER });
    await pass(1500);
    expect(await words(one)).toEqual([problem]);
  });

  it('says that another machine goes by its name, in the log and while it does', async () => {
    let isThere = true;
    const twice = (from: Bus): Bus => ({
      ...from,
      present: (text, done) =>
        from.present(text, (answer) => {
          const written = (member: string, there: string | null): string | null =>
            member === 'edge1' && isThere ? '{"version":"0"}' : there;
          done(
            answer.ok
              ? {
                  ok: true,
                  value: answer.value.map(({ member, text }) => ({ member, text: written(member, text) })),
                }
              : answer,
          );
        }),
    });
    const fleet = { openBus: () => twice(bus.bus('edge1')), secret: 'a secret that all members have' };
    const one = await start('edge1', { others: { fleet } });
    await start('edge2');
    // What one before it has left there is no other.
    await pass(500);
    expect(await words(one)).toEqual([]);
    await pass(2_000);
    const what =
      "another machine is edge1 in this fleet, too: the two don't hear each other, and each writes over what the other has said";
    expect(await words(one)).toEqual([expect.stringContaining(`${what} → give one of them`)]);
    expect(one.logged.filter((each) => 'reason' in each && each.reason === what)).toHaveLength(1);
    isThere = false;
    await pass(7_000);
    expect(await words(one)).toEqual([]);
  });

  it('says for a minute why what opens once opened nothing', async () => {
    const path = join(temporaryFolder(), 'ssh.sequences');
    writeFileSync(path, '7000/tcp,8000/tcp\n');
    const one = await start('edge1', { doors: `ssh: { one_time: ${path}, opens: [22], for: 1m }` });
    // So soon after the engine was started nobody can say what it has forgotten.
    await send(one, GUEST, 7000, 8000);
    await pass(100);
    expect(await kernel(one)).toBe('0 bans, 0 grants');
    expect(await words(one)).toEqual([
      'what opens once opened nothing in the last minute: the engine was just started, and may have forgotten marks → knock the next line, or send another packet; `nfknock fleet check` tries the engine, its disk and its replicas',
    ]);
    expect((await status(one)).fleet?.claims).toEqual({ won: 0, used: 0, shut: 1 });
    await pass(60_000);
    expect(await words(one)).toEqual([]);
  });

  it('is null, and says nothing, where the machine is alone', async () => {
    const one = await start('edge1', { others: { fleet: undefined } });
    expect((await status(one)).fleet).toBeNull();
  });
});

describe('explain', () => {
  const reasons = async (machine: Machine, address: string): Promise<readonly unknown[]> =>
    (await ask<Explanation>(machine, { command: 'explain', address })).packets
      .filter(({ outcome }) => outcome === 'fleet.refused')
      .map(({ reason }) => reason);

  it('says why another member is not believed', async () => {
    const more =
      'memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024, never: [203.0.113.9] }';
    const one = await start('edge1', { more, accept: '{ grants: none, each: { bans: 1 } }' });
    const two = await start('edge2');
    await pass(1500);
    await ask(two, { command: 'ban', address: STRANGER });
    await ask(two, { command: 'grant', door: 'ssh', address: GUEST });
    await pass(200);
    await ask(two, { command: 'ban', address: '203.0.113.77' });
    await pass(200);
    expect(await reasons(one, STRANGER)).toEqual([
      'member edge2 says that it is banned; it is never banned here',
    ]);
    expect(await reasons(one, GUEST)).toEqual([
      'member edge2 says that it is let in at ssh; fleet.accept leaves it out',
    ]);
    expect(await reasons(one, '203.0.113.77')).toEqual([
      'member edge2 says that it is banned; more than fleet.accept.each lets it say',
    ]);
    expect(await reasons(one, '203.0.113.78')).toEqual([]);
  });

  it('says that who was let in here is not banned for the strikes of another member', async () => {
    const [one, two] = [
      await start('edge1', { accept: '{ grants: none }' }),
      await start('edge2', { accept: '{ grants: none }' }),
    ];
    await pass(1500);
    await send(one, GUEST, 7000, 8000);
    await send(two, GUEST, 23, 2323);
    await pass(200);
    expect(await all(one, two)).toEqual(['0 bans, 1 grants', '1 bans, 0 grants']);
    expect(await reasons(one, GUEST)).toEqual(['member edge2 says that it is banned; it was let in here']);
  });
});

describe('metrics', () => {
  it('count what is told, heard, claimed and refused, and how long it takes until it is in force', async () => {
    let read: (() => Reading) | undefined;
    const took: number[] = [];
    const places: unknown[] = [];
    const openMetrics: Machine['dependencies']['openMetrics'] = async (_place, reading, where) => {
      read = reading;
      places.push(where);
      return {
        ...{ observe: () => undefined, observeBatch: () => undefined, observeOpening: () => undefined },
        observeApplied: (elapsed) => void took.push(elapsed),
        close: async () => undefined,
      };
    };
    const more =
      'metrics: 127.0.0.1:9477, memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024, never: [203.0.113.9] }';
    await start('edge1', { more, others: { openMetrics } });
    const two = await start('edge2');
    await pass(1500);
    await ask(two, { command: 'ban', address: '203.0.113.77' });
    await ask(two, { command: 'ban', address: STRANGER });
    await pass(1500);
    expect(places).toEqual(['in a fleet']);
    const fleet = read?.().fleet ?? expect.unreachable();
    expect(fleet).toMatchObject({ up: true, members: 2, outbox: 0, offset: 0, refused: { exempt: 1 } });
    expect(fleet.claims).toEqual({ won: 0, used: 0, shut: 0 });
    const count = (kind: string, direction: string): number | undefined =>
      fleet.messages.find((each) => each.kind === kind && each.direction === direction)?.count;
    expect(count('ban', 'in')).toBeGreaterThan(0);
    expect(count('ban', 'out')).toBe(0);
    expect(took.length).toBeGreaterThan(0);
    expect(Math.max(...took)).toBeLessThan(1_000);
    await stop(two);
    await pass(7_000);
    expect(read?.().fleet?.members).toBe(1);
  });

  it('hold nothing of a fleet where the machine is alone', async () => {
    let read: (() => Reading) | undefined;
    const places: unknown[] = [];
    const openMetrics: Machine['dependencies']['openMetrics'] = async (_place, reading, where) => {
      read = reading;
      places.push(where);
      return Promise.reject(new Error('not here'));
    };
    const more = 'metrics: 127.0.0.1:9477, memory: { sources: 1024 }, bans: { limit: 1024 }';
    await start('edge1', { more, others: { openMetrics, fleet: undefined } });
    expect([places, read?.().fleet]).toEqual([['alone'], null]);
  });
});
