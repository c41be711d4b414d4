import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { explainLines } from '../../../src/cli/commands/explain.ts';
import type { LoadedKeys } from '../../../src/config/load-keys.ts';
import type { Explanation } from '../../../src/control/answers.ts';
import type { Dependencies } from '../../../src/daemon/dependencies.ts';
import type { Daemon } from '../../../src/daemon/run.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { FirewallError } from '../../../src/firewall/firewall.ts';
import { formatAddress, parseAddress } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { type MemoryMachine, memoryMachine, QUIET, settled, startOn } from '../../support/memory-machine.ts';
import { type TestClock, testClock } from '../../support/test-clock.ts';
import { tcp } from '../source/capture-bytes.ts';

/* What a running daemon does, shown over a kernel, a disk and a clock of the test's own. */

type Machine = MemoryMachine<TestClock>;

const GUEST = '198.51.100.7';
const OTHER = '198.51.100.8';
const SMALL = 'memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024 }';
const SSH =
  'ssh: { knock: [7000, 8000], opens: [22], for: 1m, on_open: [/bin/open, "%IP%"], on_close: [/bin/close] }';
const WEB = 'web: { knock: [7100, 8100], opens: [80], for: 1m }';
const CONFIG = `{ doors: { ${SSH}, ${WEB} }, decoys: [23, 2323], ${SMALL} }`;

const daemons: Daemon[] = [];
let serial = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('the test is over');
  vi.clearAllTimers();
  vi.useRealTimers();
});

async function start(
  text = CONFIG,
  overrides: Partial<Dependencies> = {},
): Promise<{ machine: Machine; daemon: Daemon }> {
  const machine = memoryMachine(text, {}, overrides);
  const daemon = await startOn(machine);
  daemons.push(daemon);
  return { machine, daemon };
}

/** One batch. */
async function send(machine: Machine, from: string, ...ports: number[]): Promise<void> {
  await pass(machine, 10);
  machine.sources.send(
    ports.map((port) => {
      serial += 1;
      return tcp({ from, to: '192.0.2.1', port, sequence: serial });
    }),
  );
  await settled();
}

async function pass({ clock }: Machine, ms: number): Promise<void> {
  clock.pass(ms);
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
}

const named = ({ said }: Machine, name: string): readonly NfknockEvent[] =>
  said.filter(({ event }) => event === name);
const held = async ({ kernel }: Machine): Promise<readonly string[]> =>
  (await kernel.firewall.readBack()).grants.map(({ door, grantee }) =>
    grantee === 'any' ? `${door} any` : `${door} ${formatAddress(grantee.address)}`,
  );
const problems = async (machine: Machine): Promise<readonly string[]> => {
  const { problems: all } = (await dataOf(machine, { command: 'status' })) as {
    readonly problems: readonly { readonly what: string }[];
  };
  return all.map(({ what }) => what);
};
const dataOf = async (machine: Machine, request: object): Promise<never> => {
  const answer = await machine.ask(request);
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.data as never;
};

describe('a reload', () => {
  it('keeps the grants of doors that are still there, and ends those of others, in kernel, state and log', async () => {
    const { machine, daemon } = await start();
    await send(machine, GUEST, 7000, 8000);
    await send(machine, GUEST, 7100, 8100);
    machine.file = `{ doors: { ${WEB} }, ${SMALL} }`;
    await daemon.reload();
    await settled();
    expect(await held(machine)).toEqual([`web ${GUEST}`]);
    expect(named(machine, 'door.closed')).toMatchObject([{ door: 'ssh', reason: 'reload' }]);
    expect(machine.store.load(machine.clock.wall()).grants.map(({ door }) => door)).toEqual(['web']);
    expect(named(machine, 'daemon.reloaded')).toHaveLength(1);
    // The door had a command when it was opened, and it is told that it is closed.
    expect(machine.ran.map(({ argv }) => argv[0])).toEqual(['/bin/open', '/bin/close']);
    expect(machine.sources.prepared).toEqual(['commit']);
  });

  it('of a file that is wrong changes nothing, and says why in the log and to who asked', async () => {
    const { machine } = await start();
    machine.file = '{ doors: { ssh: { knock: [7000], opens: [22], fro: 1m } } }';
    const answer = await machine.ask({ command: 'reload' });
    expect(answer).toMatchObject({ ok: false, error: { code: 'config' } });
    expect(named(machine, 'config.rejected')).toHaveLength(1);
    await send(machine, GUEST, 7000, 8000);
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    // Nobody may have looked at the log: it is a problem until a file is taken.
    expect(await problems(machine)).toContainEqual(
      expect.stringMatching(/^the last reload was refused, and the configuration before it holds: .*"?fro/),
    );
    machine.file = CONFIG;
    await machine.ask({ command: 'reload' });
    expect(await problems(machine)).toEqual([]);
  });

  it('whose key file can not be read changes nothing, and is a problem that status tells', async () => {
    const fault = {
      file: 'keys.yaml',
      line: 1,
      column: 1,
      key: 'keys',
      problem: 'is a directory',
      fix: 'write a file',
    };
    let keys: LoadedKeys = { ok: true, file: { realms: [], keys: [] }, warnings: [] };
    const { machine } = await start(CONFIG, { loadKeys: () => keys });
    keys = { ok: false, faults: [fault] };
    expect(await machine.ask({ command: 'reload' })).toMatchObject({ ok: false, error: { code: 'config' } });
    expect(await problems(machine)).toEqual([expect.stringContaining('keys.yaml:1:1: keys: is a directory')]);
    await send(machine, GUEST, 7000, 8000);
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
  });

  it('whose queue is taken, or whose rules are refused, leaves the old configuration in force', async () => {
    const { machine } = await start();
    machine.file = `{ doors: { ${WEB} }, ${SMALL} }`;
    machine.sources.refuse(new Error('queue 7 is taken'));
    expect(await machine.ask({ command: 'reload' })).toMatchObject({ ok: false, error: { code: 'failed' } });
    machine.sources.refuse(undefined);
    machine.kernel.refuseConfig(new FirewallError('run iptables-restore', 'FAILED', 'the test says so'));
    expect(await machine.ask({ command: 'reload' })).toMatchObject({ ok: false, error: { code: 'failed' } });
    expect(machine.sources.prepared).toEqual(['rollback']);
    await send(machine, GUEST, 7000, 8000);
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    machine.kernel.refuseConfig(undefined);
    expect(await machine.ask({ command: 'reload' })).toMatchObject({ ok: true });
    expect(await held(machine)).toEqual([]);
  });

  it('warns of what takes a restart, each time, until the file is as it was', async () => {
    const { machine } = await start();
    machine.file = `{ doors: { ${SSH}, ${WEB} }, decoys: [23, 2323], ${SMALL}, control: /tmp/other.sock }`;
    for (let time = 0; time < 2; time += 1)
      expect(await dataOf(machine, { command: 'reload' })).toMatchObject({
        warnings: [expect.stringMatching(/^control: .*restart/)],
      });
    machine.file = CONFIG;
    expect(await dataOf(machine, { command: 'reload' })).toEqual({ warnings: [] });
  });

  it('goes after the one before it: two at once do not mix', async () => {
    const { machine, daemon } = await start();
    machine.file = `{ doors: { ${WEB} }, ${SMALL} }`;
    const first = daemon.reload();
    machine.file = CONFIG;
    await Promise.all([first, daemon.reload()]);
    expect(named(machine, 'daemon.reloaded')).toHaveLength(2);
    expect(machine.kernel.replaced()?.doors.map(({ name }) => name)).toEqual(['ssh', 'web']);
  });
});

describe('a start over what was there', () => {
  const opened = { door: 'ssh', grantee: hostCidr(addressOf(GUEST)), source: hostCidr(addressOf(GUEST)) };

  it('takes grants and bans up again, closes what nobody knows, and says what has ended meanwhile', async () => {
    const clock = testClock();
    const wall = clock.wall();
    const store = openMemoryStore({}, wall);
    const machine = memoryMachine(CONFIG, { clock, store });
    const none = { usesLeft: null, reason: null, holder: null };
    const grant = { ...opened, since: wall - 5_000, until: wall + 20_000, ...none };
    const ended = { ...grant, door: 'web', until: wall - 1_000 };
    const target = hostCidr(addressOf(OTHER));
    const ban = { target, since: wall - 1_000, until: wall + 60_000, count: 1, origin: 'strikes' } as const;
    store.write([
      { change: 'grant', grant },
      { change: 'grant', grant: ended },
      { change: 'ban', ban },
    ]);
    const foreign = hostCidr(addressOf('203.0.113.77'));
    await machine.kernel.firewall.apply([
      { change: 'open', door: 'ssh', grantee: foreign, until: wall + 60_000 },
    ]);
    daemons.push(await startOn(machine));
    await settled();
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    expect((await machine.kernel.firewall.readBack()).bans).toHaveLength(1);
    expect(named(machine, 'door.closed')).toMatchObject([{ door: 'web', reason: 'expired' }]);
    expect(named(machine, 'door.opened')).toEqual([]);
    await pass(machine, 20_001);
    expect(await held(machine)).toEqual([]);
    expect(named(machine, 'door.closed')).toHaveLength(2);
  });
});

describe('a grant', () => {
  it('ends at its time without a packet, in the kernel, in the state file and in the log', async () => {
    const { machine } = await start();
    await send(machine, GUEST, 7000, 8000);
    await pass(machine, 59_999);
    expect(await held(machine)).toHaveLength(1);
    await pass(machine, 1);
    expect(await held(machine)).toEqual([]);
    expect(named(machine, 'door.closed')).toMatchObject([{ reason: 'expired' }]);
    expect(machine.store.load(machine.clock.wall()).grants).toEqual([]);
  });
});

describe('the supervisor', () => {
  it('puts rules back that someone took away, with grants and bans, and says so', async () => {
    const { machine } = await start();
    await send(machine, GUEST, 7000, 8000);
    await send(machine, OTHER, 23, 2323);
    await machine.kernel.tamper('rules');
    await settled();
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    expect((await machine.kernel.firewall.readBack()).bans).toHaveLength(1);
    expect(named(machine, 'firewall.repaired')).toHaveLength(1);
  });

  it('fills the sets again where a change found them gone', async () => {
    const { machine } = await start();
    await send(machine, GUEST, 7000, 8000);
    await machine.kernel.firewall.remove();
    machine.kernel.listener()?.onRestored();
    await settled();
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    expect(named(machine, 'firewall.repaired')).toHaveLength(1);
  });

  it('tells in status what is wrong with the rules, and no more once all was found sound', async () => {
    const { machine } = await start();
    machine.kernel.listener()?.onError(new Error('the lock is held'));
    expect(await dataOf(machine, { command: 'status' })).toMatchObject({
      firewall: { ok: false, reason: 'the lock is held' },
    });
    machine.kernel.listener()?.onSound();
    expect(await dataOf(machine, { command: 'status' })).toMatchObject({ firewall: { ok: true } });
  });

  it('says once that the state file fails, and once that it is well again', async () => {
    let reason: string | null = null;
    const store = openMemoryStore({}, 0);
    const health = (): { ok: boolean; reason: string | null } => ({ ok: reason === null, reason });
    const { machine } = await start(CONFIG, { store: { ...store, health } });
    reason = 'no space is left';
    await pass(machine, 3_000);
    expect(named(machine, 'state.degraded')).toMatchObject([{ reason }]);
    reason = null;
    await pass(machine, 3_000);
    expect(named(machine, 'state.recovered')).toHaveLength(1);
  });

  it('says messages of the kernel that were missed, once for each kind and second', async () => {
    const { machine } = await start();
    machine.kernel.listener()?.onLost(3);
    machine.kernel.listener()?.onLost(4);
    await pass(machine, 1_000);
    await pass(machine, 1_000);
    expect(named(machine, 'events.lost')).toMatchObject([{ reason: 'rules', count: 7 }]);
    expect(await dataOf(machine, { command: 'status' })).toMatchObject({ events_lost: 7 });
  });

  it('keeps ends where they were by the monotonic clock when the wall clock is set', async () => {
    const { machine } = await start();
    await send(machine, GUEST, 7000, 8000);
    machine.clock.setWall(machine.clock.wall() + 3_600_000);
    await pass(machine, 1_000);
    expect(await held(machine)).toEqual([`ssh ${GUEST}`]);
    const [kept] = machine.store.load(machine.clock.wall()).grants;
    expect((kept?.until ?? 0) - machine.clock.wall()).toBeGreaterThan(50_000);
  });

  it('looks again who is never banned, and lifts a ban of who has come to be', async () => {
    let exempt: readonly string[] = [];
    const { machine } = await start(CONFIG, {
      findExempt: async () => ({
        networks: exempt.map((each) => hostCidr(addressOf(each))),
        everybody: [],
      }),
    });
    await send(machine, OTHER, 23, 2323);
    expect(await dataOf(machine, { command: 'status' })).toMatchObject({ bans: 1 });
    exempt = [OTHER];
    await pass(machine, 30_000);
    expect(named(machine, 'ban.lifted')).toMatchObject([{ reason: 'exempt' }]);
    expect((await machine.kernel.firewall.readBack()).bans).toEqual([]);
  });
});

it('looks around every 30 s, and at everything at the start, every 5 minutes and after a reload', async () => {
  const looks: string[] = [];
  const { machine } = await start(CONFIG, {
    createSurroundings: () => ({
      ...QUIET,
      glance: () => void looks.push('around'),
      look: async () => void looks.push('at everything'),
    }),
  });
  expect(looks.splice(0)).toEqual(['around', 'at everything']);
  await pass(machine, 29_000);
  expect(looks).toEqual([]);
  await pass(machine, 1_000);
  expect(looks.splice(0)).toEqual(['around']);
  expect(await machine.ask({ command: 'reload' })).toMatchObject({ ok: true });
  expect(looks.splice(0)).toEqual(['at everything']);
  for (let seconds = 30; seconds < 300; seconds += 30) await pass(machine, 30_000);
  expect(looks.filter((each) => each === 'around')).toHaveLength(9);
  expect(looks.filter((each) => each === 'at everything')).toHaveLength(1);
});

describe('what people ask', () => {
  it('grant, grants and revoke: what is answered is in force', async () => {
    const { machine } = await start();
    const made = await dataOf(machine, { command: 'grant', door: 'web', address: GUEST, reason: 'a ticket' });
    expect(made).toMatchObject({
      door: 'web',
      grantee: `${GUEST}/32`.replace('/32', ''),
      reason: 'a ticket',
    });
    expect(await held(machine)).toEqual([`web ${GUEST}`]);
    expect(await dataOf(machine, { command: 'revoke', address: GUEST })).toEqual({ changed: 1 });
    expect(await held(machine)).toEqual([]);
    expect(await dataOf(machine, { command: 'revoke', address: GUEST })).toEqual({ changed: 0 });
  });

  it('a door that is not there, a grant that the kernel refuses: each is refused in words', async () => {
    const { machine } = await start();
    expect(await machine.ask({ command: 'grant', door: 'cellar', address: GUEST })).toMatchObject({
      error: { code: 'unknown door' },
    });
    machine.kernel.refuse(() => new FirewallError('add a rule', 'FAILED', 'the test says so'));
    expect(await machine.ask({ command: 'grant', door: 'ssh', address: GUEST })).toMatchObject({
      error: { code: 'failed' },
    });
  });

  it('ban, bans and unban; and who is never banned is not', async () => {
    const { machine } = await start(CONFIG, {
      findExempt: async () => ({ networks: [hostCidr(addressOf(GUEST))], everybody: [] }),
    });
    expect(await machine.ask({ command: 'ban', address: GUEST })).toMatchObject({
      error: { code: 'never banned' },
    });
    await dataOf(machine, { command: 'ban', address: OTHER, for: 5_000 });
    expect((await machine.kernel.firewall.readBack()).bans).toHaveLength(1);
    expect([...((await dataOf(machine, { command: 'bans' })) as Iterable<object>)]).toMatchObject([
      { target: OTHER },
    ]);
    expect(await dataOf(machine, { command: 'unban', all: true })).toEqual({ changed: 1 });
    expect((await machine.kernel.firewall.readBack()).bans).toEqual([]);
  });

  it('explain: each packet of a host with what became of it, oldest first, ends between them', async () => {
    const { machine } = await start();
    await send(machine, GUEST, 7000, 8000);
    await send(machine, OTHER, 23);
    await pass(machine, 60_000);
    const told = (await dataOf(machine, { command: 'explain', address: GUEST })) as {
      packets: readonly { port: string | null; outcome: string }[];
    };
    expect(told.packets.map(({ port, outcome }) => `${port} ${outcome}`)).toEqual([
      '7000/tcp accepted',
      '8000/tcp opened',
      'null door.closed',
    ]);
  });
});

describe('a right knock without effect', () => {
  const explained = async (machine: Machine): Promise<string> =>
    explainLines((await dataOf(machine, { command: 'explain', address: GUEST })) as Explanation, {
      width: 200,
      now: machine.clock.wall(),
    }).join('\n');
  const CLOSING = `{ doors: { ssh: { knock: [7000, 8000], opens: [22], for: 1m, close: [7001, 8001] } }, ${SMALL} }`;

  it('is explained as one: a close that begins too soon after the opening', async () => {
    const { machine } = await start(CLOSING);
    await send(machine, GUEST, 7000, 8000);
    await send(machine, GUEST, 7001);
    expect(await explained(machine)).toMatch(/7001\/tcp +repeat +too soon after the door was opened .*\(ssh/);
    expect(await explained(machine)).not.toContain('[guard]');
  });

  it('is explained as one: a close of what has ended', async () => {
    const { machine } = await start(CLOSING);
    await send(machine, GUEST, 7000, 8000);
    await pass(machine, 90_000);
    await send(machine, GUEST, 7001, 8001);
    expect(await explained(machine)).toMatch(/8001\/tcp +repeat +.*closes what is closed: ignored/);
    expect(await explained(machine)).not.toContain('strike 1');
  });
});

describe('commands of doors', () => {
  it('are run at an opening and a closing and not at a renewal, after these were announced', async () => {
    const order: string[] = [];
    const { machine } = await start(CONFIG, {
      hooks: {
        run: ([file = '']) => void order.push(`${file} after ${machine.said.at(-1)?.event}`),
        close() {},
      },
    });
    await send(machine, GUEST, 7000, 8000);
    await send(machine, GUEST, 7000, 8000);
    await pass(machine, 60_000);
    expect(order).toEqual(['/bin/open after door.opened', '/bin/close after door.closed']);
  });
});

describe('a door with a file of one-time sequences', () => {
  const FIRST = '7001:tcp,7002:tcp';
  const SECOND = '7101:tcp,7102:tcp';
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nfknock-memory-'));
    file = join(folder, 'sequences');
    writeFileSync(file, `${FIRST}\n${SECOND}\n`);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const config = (): string =>
    `{ doors: { once: { one_time: ${file}, opens: [22], for: 1m } }, ${SMALL.replace('strikes: 2', 'strikes: 50')} }`;

  it('opens to each line once, from wherever its knocks come again, also in the same batch', async () => {
    const { machine } = await start(config());
    await send(machine, GUEST, 7001, 7002, 7001, 7002);
    expect(readFileSync(file, 'utf8')).toBe(`#${FIRST}\n${SECOND}\n`);
    await send(machine, OTHER, 7001, 7002);
    expect(await held(machine)).toEqual([`once ${GUEST}`]);
    await send(machine, OTHER, 7101, 7102);
    expect(await held(machine)).toEqual([`once ${GUEST}`, `once ${OTHER}`]);
    expect(named(machine, 'door.opened')).toHaveLength(2);
  });

  it('does not open where its line is not there any more, and says so', async () => {
    const { machine } = await start(config());
    writeFileSync(file, `${SECOND}\n`);
    await send(machine, GUEST, 7001, 7002);
    expect(await held(machine)).toEqual([]);
    expect(named(machine, 'door.opened')).toEqual([]);
    expect(named(machine, 'config.warning').at(-1)).toMatchObject({
      reason: expect.stringContaining('not there any more'),
    });
    expect(await dataOf(machine, { command: 'grants' }).then((rows) => [...(rows as [])])).toEqual([]);
  });

  it('uses no line up for a grant by hand', async () => {
    const { machine } = await start(config());
    await dataOf(machine, { command: 'grant', door: 'once', address: GUEST });
    expect(readFileSync(file, 'utf8')).toBe(`${FIRST}\n${SECOND}\n`);
  });
});

function addressOf(text: string): NonNullable<ReturnType<typeof parseAddress>> {
  const address = parseAddress(text);
  if (address === undefined) throw new Error('the test itself is wrong');
  return address;
}
