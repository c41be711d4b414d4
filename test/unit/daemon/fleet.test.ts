import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Daemon } from '../../../src/daemon/run.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { createMemoryEngine, type MemoryEngine } from '../../../src/fleet/memory-bus.ts';
import { hotp, stepOf } from '../../../src/spa/totp.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { BEN, datagram, keysMachine } from '../../support/keys-machine.ts';
import { type MemoryMachine, settled, startOn } from '../../support/memory-machine.ts';
import { NOW, type TestClock, testClock } from '../../support/test-clock.ts';
import { tcp } from '../source/capture-bytes.ts';
import { keyOf } from '../spa/spa-world.ts';

/* Daemons of one fleet, over a kernel, a disk, a clock and a bus of the test's own. */

type Machine = MemoryMachine<TestClock>;

const GUEST = '198.51.100.7';
const STRANGER = '203.0.113.9';
const SECRET = 'a secret that all members have';
const SMALL = 'memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024 }';
const SSH = 'ssh: { knock: [7000, 8000], opens: [22], for: 1m }';

let bus: MemoryEngine;
let passed = 0;
let serial = 0;
let folder = '';
/** Whose answers of the bus come late, while doorbells do not. */
let slow: string | undefined;
const SLOWLY = 200;
let running: { readonly name: string; readonly machine: Machine; readonly daemon: Daemon }[] = [];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  passed = 0;
  slow = undefined;
  folder = mkdtempSync(join(tmpdir(), 'nfknock-fleet-'));
  bus = createMemoryEngine({
    wire: {
      carry(member, way, arrive) {
        if (way === 'answer' && member === slow) setTimeout(arrive, SLOWLY);
        else setImmediate(arrive);
      },
    },
    now: () => NOW + passed,
    fsync: 'always',
  });
});
afterEach(async () => {
  for (const { daemon } of running.splice(0)) await daemon.stop('the test is over');
  vi.clearAllTimers();
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

interface Given {
  readonly doors?: string;
  readonly more?: string;
  readonly accept?: string;
  readonly before?: Machine;
  /** Without a fleet. */
  readonly alone?: true;
}

const TOTP = Buffer.from('12345678901234567890');
const ADA = keyOf('ada', { kind: 'totp', secret: TOTP }, { doors: ['mail'] });

async function start(name: string, { doors = SSH, more = SMALL, accept = '{}', before, alone }: Given = {}) {
  const fleet = `fleet: { name: ${name}, engine: 'redis://127.0.0.1:6379', accept: ${accept} }`;
  const clock = before?.clock ?? testClock(NOW + passed);
  const given = { openBus: () => bus.bus(name), secret: SECRET };
  const store = before?.store ?? openMemoryStore({}, clock.wall());
  const text = `{ doors: { ${doors} }, decoys: [23, 2323], ${more}${alone ? '' : `, ${fleet}`} }`;
  const machine = keysMachine(text, { clock, store, keys: [BEN, ADA] }, alone ? {} : { fleet: given });
  let daemon: Daemon | undefined;
  const starting = startOn(machine).then((started) => {
    daemon = started;
  });
  while (daemon === undefined) await pass(20, machine);
  await starting;
  running.push({ name, machine, daemon });
  return machine;
}

async function pass(ms: number, besides?: Machine): Promise<void> {
  const clocks = new Set([
    ...running.map(({ machine }) => machine.clock),
    ...(besides ? [besides.clock] : []),
  ]);
  for (let left = ms; left > 0; left -= 20) {
    passed += 20;
    for (const clock of clocks) clock.pass(20);
    await vi.advanceTimersByTimeAsync(20);
    for (let turn = 0; turn < 4; turn += 1) await settled();
  }
}

async function send(machine: Machine, from: string, ...ports: number[]): Promise<void> {
  for (const port of ports) {
    serial += 1;
    machine.sources.send([tcp({ from, to: '192.0.2.1', port, sequence: serial })]);
    await pass(20);
  }
}

const named = ({ said }: Machine, name: string): readonly NfknockEvent[] =>
  said.filter(({ event }) => event === name);
const last = (machine: Machine, name: string): NfknockEvent | undefined => named(machine, name).at(-1);
const kernel = async ({ kernel: { firewall } }: Machine): Promise<string> => {
  const { bans, grants } = await firewall.readBack();
  return `${bans.length} bans, ${grants.length} grants`;
};
const all = async (...machines: Machine[]): Promise<readonly string[]> => Promise.all(machines.map(kernel));

async function stop(machine: Machine): Promise<void> {
  const [found] = running.filter((one) => one.machine === machine);
  running = running.filter((one) => one !== found);
  bus.cut(found?.name ?? '');
  await found?.daemon.stop('the test says so');
}

describe('three members', () => {
  it('tell each other of bans, lifts, grants and closes, and of nothing that another told', async () => {
    const [one, two, three] = [await start('edge1'), await start('edge2'), await start('edge3')];
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    await pass(100);
    expect(await all(one, two, three)).toEqual(Array(3).fill('1 bans, 0 grants'));
    expect(last(two, 'ban.added')).toMatchObject({ reason: 'fleet', origin: 'edge1', count: 1 });
    expect(await two.ask({ command: 'unban', address: STRANGER })).toMatchObject({ ok: true });
    await pass(100);
    expect(await all(one, two, three)).toEqual(Array(3).fill('0 bans, 0 grants'));
    expect(last(one, 'ban.lifted')).toMatchObject({ reason: 'fleet', origin: 'edge2' });
    await send(three, GUEST, 7000, 8000);
    await pass(100);
    expect(await all(one, two, three)).toEqual(Array(3).fill('0 bans, 1 grants'));
    expect(last(one, 'door.opened')).toMatchObject({ door: 'ssh', origin: 'edge3' });
    await one.ask({ command: 'revoke', address: GUEST });
    await pass(100);
    expect(await all(one, two, three)).toEqual(Array(3).fill('0 bans, 0 grants'));
    expect(last(three, 'door.closed')).toMatchObject({ reason: 'fleet', origin: 'edge1' });
    // Nothing goes round.
    const said = [one, two, three].map((machine) => machine.said.length);
    await pass(3000);
    expect([one, two, three].map((machine) => machine.said.length)).toEqual(said);
  });

  it('that were away hear of everything, and bans of theirs are told when the bus is back', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    bus.cut('edge2');
    await send(one, STRANGER, 23, 2323);
    await send(two, GUEST, 7000, 8000);
    await pass(200);
    expect(await all(one, two)).toEqual(['1 bans, 0 grants', '0 bans, 1 grants']);
    expect(last(two, 'fleet.apart')).toBeDefined();
    bus.join('edge2');
    await pass(2500);
    expect(await all(one, two)).toEqual(Array(2).fill('1 bans, 1 grants'));
    expect(last(two, 'fleet.joined')).toMatchObject({ members: ['edge1', 'edge2'] });
  });

  it('that were killed tell what the state file says they had not', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    bus.cut('edge2');
    await send(two, STRANGER, 23, 2323);
    await stop(two);
    await start('edge2', { before: two });
    await pass(2500);
    expect(await kernel(one)).toBe('1 bans, 0 grants');
  });

  it('know at the start what the others have said, before they are ready', async () => {
    const one = await start('edge1');
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    const two = await start('edge2');
    const names = two.said.map(({ event }) => event);
    expect(names.indexOf('ban.added')).toBeGreaterThan(-1);
    expect(names.indexOf('ban.added')).toBeLessThan(names.indexOf('daemon.ready'));
    expect(names.indexOf('fleet.joined')).toBeLessThan(names.indexOf('daemon.ready'));
  });

  it('are ready apart where the bus does not answer, and say so first', async () => {
    bus.stop();
    const one = await start('edge1');
    const names = one.said.map(({ event }) => event);
    expect(names.indexOf('fleet.apart')).toBeGreaterThan(-1);
    expect(names.indexOf('fleet.apart')).toBeLessThan(names.indexOf('daemon.ready'));
    await send(one, STRANGER, 23, 2323);
    expect(await kernel(one)).toBe('1 bans, 0 grants');
  });

  it('in shadow say what they would ban, and keep their own bans whatever others lift', async () => {
    const [one, two] = [await start('edge1'), await start('edge2', { accept: '{ bans: shadow }' })];
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    await pass(100);
    expect(last(two, 'ban.added')).toMatchObject({ shadow: true, origin: 'edge1' });
    expect(await all(one, two)).toEqual(['1 bans, 0 grants', '0 bans, 0 grants']);
    await two.ask({ command: 'ban', address: GUEST });
    await one.ask({ command: 'unban', address: GUEST });
    await pass(100);
    expect(await kernel(two)).toBe('1 bans, 0 grants');
  });

  it('lift all bans everywhere, and a new end by hand counts where it is sooner', async () => {
    const [one, two] = [await start('edge1'), await start('edge2')];
    await pass(1500);
    await one.ask({ command: 'ban', address: STRANGER, for: 600_000 });
    await one.ask({ command: 'ban', address: STRANGER, for: 60_000 });
    await one.ask({ command: 'ban', address: GUEST });
    await pass(200);
    expect(await all(one, two)).toEqual(Array(2).fill('2 bans, 0 grants'));
    await pass(60_000);
    expect(await all(one, two)).toEqual(Array(2).fill('1 bans, 0 grants'));
    await two.ask({ command: 'unban', all: true });
    await pass(200);
    expect(await all(one, two)).toEqual(Array(2).fill('0 bans, 0 grants'));
  });
});

describe('a member that was told otherwise, or starts again', () => {
  it('puts in force what it had only looked at, once it is to enforce it', async () => {
    const one = await start('edge1');
    const two = await start('edge2', { accept: '{ bans: shadow }' });
    await pass(1500);
    await send(one, STRANGER, 23, 2323);
    await pass(100);
    expect(await all(one, two)).toEqual(['1 bans, 0 grants', '0 bans, 0 grants']);
    two.file = two.file.replace('bans: shadow', 'bans: enforce');
    expect(await two.ask({ command: 'reload' })).toMatchObject({ ok: true });
    await pass(1000);
    expect(await all(one, two)).toEqual(Array(2).fill('1 bans, 0 grants'));
  });

  it.each(['one ban', 'all bans'])(
    'lifts nothing then that stays after %s was lifted: of others, or of its own alone',
    async (which) => {
      const [one, two] = [await start('edge1'), await start('edge2')];
      await pass(1500);
      await one.ask({ command: 'ban', address: STRANGER });
      if (which === 'all bans') await one.ask({ command: 'unban', all: true });
      await pass(200);
      for (const command of ['ban', 'unban', 'ban']) await one.ask({ command, address: STRANGER });
      await two.ask({ command: 'ban', address: GUEST, here: true });
      await pass(200);
      expect(await kernel(two)).toBe('2 bans, 0 grants');
      await stop(two);
      bus.join('edge2');
      const before = two.said.length;
      const again = await start('edge2', { before: two });
      await pass(2500);
      expect(await kernel(again)).toBe('2 bans, 0 grants');
      expect(named(again, 'fleet.joined')).toHaveLength(1);
      expect(
        [...two.said.slice(before), ...again.said].filter(({ event }) => event.startsWith('ban.')),
      ).toEqual([]);
    },
  );
});

describe('a machine that joins', () => {
  it('tells whom it had banned and let in before, once: what it bans for itself alone stays its own', async () => {
    const alone = await start('edge2', { alone: true });
    await send(alone, STRANGER, 23, 2323);
    await send(alone, GUEST, 7000, 8000);
    await pass(100);
    await stop(alone);
    const one = await start('edge1');
    await pass(1500);
    const two = await start('edge2', { before: alone });
    await pass(2500);
    expect(await all(one, two)).toEqual(Array(2).fill('1 bans, 1 grants'));
    expect(last(one, 'ban.added')).toMatchObject({ reason: 'fleet', origin: 'edge2', count: 1 });
    await two.ask({ command: 'ban', address: '203.0.113.77', here: true });
    await stop(two);
    bus.join('edge2');
    const again = await start('edge2', { before: two });
    await pass(2500);
    expect(await all(one, again)).toEqual(['1 bans, 1 grants', '2 bans, 1 grants']);
  });
});

describe('a one-time line', () => {
  const door = (name: string): string => {
    const path = join(folder, `${name}.sequences`);
    writeFileSync(path, '7000/tcp,8000/tcp\n7100/tcp,8100/tcp\n');
    return `ssh: { one_time: ${path}, opens: [22], for: 1m }`;
  };
  const file = (name: string): string => readFileSync(join(folder, `${name}.sequences`), 'utf8');
  const names = ['edge1', 'edge2', 'edge3'];

  it('that is knocked at all members at once opens at one, and is marked at all', async () => {
    const machines: Machine[] = [];
    for (const name of names) machines.push(await start(name, { doors: door(name) }));
    await pass(4000);
    for (const port of [7000, 8000]) {
      for (const { sources } of machines) {
        serial += 1;
        sources.send([tcp({ from: GUEST, to: '192.0.2.1', port, sequence: serial })]);
      }
      await pass(20);
    }
    await pass(500);
    const own = machines.flatMap((machine) =>
      named(machine, 'door.opened').filter((event) => !('origin' in event)),
    );
    expect(own).toHaveLength(1);
    for (const name of names) expect(file(name)).toBe('#7000/tcp,8000/tcp\n7100/tcp,8100/tcp\n');
    const [one] = machines as [Machine];
    await send(one, STRANGER, 7100, 8100);
    await pass(200);
    expect(last(one, 'door.opened')).toMatchObject({ source: { a: 0xcb007109 | 0 } });
    for (const name of names) expect(file(name)).toBe('#7000/tcp,8000/tcp\n#7100/tcp,8100/tcp\n');
  });

  it('opens nothing while the bus is away, and is burnt', async () => {
    const [one, two] = [
      await start('edge1', { doors: door('edge1') }),
      await start('edge2', { doors: door('edge2') }),
    ];
    await pass(4000);
    bus.cut('edge1');
    await send(one, GUEST, 7000, 8000);
    await pass(1500);
    expect(named(one, 'door.opened')).toEqual([]);
    expect(file('edge1')).toBe('#7000/tcp,8000/tcp\n7100/tcp,8100/tcp\n');
    bus.join('edge1');
    await pass(5000);
    await send(two, GUEST, 7000, 8000);
    await pass(1500);
    expect(named(two, 'door.opened')).toEqual([]);
    expect(file('edge2')).toBe('#7000/tcp,8000/tcp\n7100/tcp,8100/tcp\n');
  });

  it('is in force where it lost though it was told of before its own answer came', async () => {
    const [one, two] = [
      await start('edge1', { doors: door('edge1') }),
      await start('edge2', { doors: door('edge2') }),
    ];
    await pass(4000);
    slow = 'edge1';
    for (const port of [7000, 8000]) {
      for (const { sources } of [two, one]) {
        serial += 1;
        sources.send([tcp({ from: GUEST, to: '192.0.2.1', port, sequence: serial })]);
      }
      await pass(20);
    }
    await pass(1000);
    expect(named(one, 'door.opened')).toMatchObject([{ origin: 'edge2' }]);
    expect(await all(one, two)).toEqual(Array(2).fill('0 bans, 1 grants'));
  });
});

describe('what a key proves, sent to all members at once, opens at one', () => {
  const doors =
    "ssh: { knock: spa, opens: [22], for: 1m }, mail: { knock: [7000, '1????', '2????'], opens: [25], for: 1m }";
  const more = `listen: { spa: [62201/udp] }, ${SMALL}`;

  async function three(): Promise<readonly Awaited<ReturnType<typeof start>>[]> {
    const machines: Awaited<ReturnType<typeof start>>[] = [];
    for (const name of ['edge1', 'edge2', 'edge3']) machines.push(await start(name, { doors, more }));
    await pass(4000);
    return machines;
  }
  async function openedAtOne(machines: readonly Machine[]): Promise<void> {
    await pass(500);
    const own = machines.flatMap((machine) =>
      named(machine, 'door.opened').filter((event) => !('origin' in event)),
    );
    expect(own).toHaveLength(1);
    expect(await all(...machines)).toEqual(Array(3).fill('0 bans, 1 grants'));
    expect(machines.flatMap((machine) => named(machine, 'ban.added'))).toEqual([]);
  }

  it('a packet; and it opens nothing later either', async () => {
    const machines = await three();
    const [one] = machines;
    const packet = one?.own() ?? Buffer.alloc(0);
    for (const { sources } of machines) sources.sendToKeys([datagram(GUEST, packet)]);
    await openedAtOne(machines);
    await one?.ask({ command: 'revoke', address: GUEST });
    for (const machine of machines) await machine.knock(GUEST, packet);
    await pass(500);
    expect(await all(...machines)).toEqual(Array(3).fill('0 bans, 0 grants'));
  });

  it('the digits of an authenticator', async () => {
    const machines = await three();
    const digits = hotp(TOTP, stepOf(machines[0]?.clock.wall() ?? 0), 8);
    for (const port of [7000, Number(`1${digits.slice(0, 4)}`), Number(`2${digits.slice(4)}`)]) {
      for (const { sources } of machines) {
        serial += 1;
        sources.send([tcp({ from: GUEST, to: '192.0.2.1', port, sequence: serial })]);
      }
      await pass(20);
    }
    await openedAtOne(machines);
  });

  it('not at all while the bus is away, and never after', async () => {
    const machines = await three();
    const [one] = machines;
    bus.cut('edge1');
    const packet = one?.own() ?? Buffer.alloc(0);
    await one?.knock(GUEST, packet);
    await pass(1500);
    expect(await kernel(one as Machine)).toBe('0 bans, 0 grants');
    bus.join('edge1');
    await pass(5000);
    for (const machine of machines) await machine.knock(GUEST, packet);
    await pass(1500);
    expect(await all(...machines)).toEqual(Array(3).fill('0 bans, 0 grants'));
  });
});
