import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Daemon } from '../../../src/daemon/run.ts';
import { suspendable } from '../../../src/daemon/suspendable.ts';
import { FirewallError } from '../../../src/firewall/firewall.ts';
import { memoryFirewall } from '../../../src/firewall/memory.ts';
import { parseAddress } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import {
  configOf,
  type MemoryMachine,
  memoryMachine,
  settled,
  startOn,
} from '../../support/memory-machine.ts';
import type { TestClock } from '../../support/test-clock.ts';

type Machine = MemoryMachine<TestClock>;

const GUEST = '198.51.100.7';
const CONFIG = '{ doors: { ssh: { knock: [7000, 8000], opens: [22], for: 1h } }, memory: { sources: 1024 } }';
const OTHER = '{ doors: { web: { knock: [7100, 8100], opens: [80], for: 1h } }, memory: { sources: 1024 } }';
const DOWN = { id: 'ab', since: 0, until: null, base: false };

const daemons: Daemon[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('the test is over');
  vi.clearAllTimers();
  vi.useRealTimers();
});

async function start(machine: Machine): Promise<Daemon> {
  const daemon = await startOn(machine);
  daemons.push(daemon);
  return daemon;
}
async function second({ clock }: Machine): Promise<void> {
  clock.pass(1_000);
  await vi.advanceTimersByTimeAsync(1_000);
  await settled();
}
const events = ({ said }: Machine): readonly string[] =>
  said.map(({ event }) => event).filter((event) => event.startsWith('firewall.'));
const isIn = ({ kernel }: Machine): Promise<boolean> => kernel.firewall.intact();
const problems = async (machine: Machine): Promise<readonly string[]> => {
  const answer = await machine.ask({ command: 'status' });
  if (!answer.ok) throw new Error(answer.error.message);
  return (answer.data as unknown as { problems: { what: string }[] }).problems.map(({ what }) => what);
};

describe('a daemon that is stood down', () => {
  it('takes its rules out within a second, tells the kernel nothing, and puts in what holds by then', async () => {
    const machine = memoryMachine(CONFIG);
    await start(machine);
    machine.stoodDown = { ...DOWN, until: machine.clock.wall() + 60_000 };
    await second(machine);
    expect(await isIn(machine)).toBe(false);
    expect(machine.said.at(-1)).toMatchObject({ event: 'firewall.stood_down', until: expect.anything() });
    expect(await problems(machine)).toEqual([expect.stringMatching(/^stood down since .* until 20/)]);
    const before = machine.kernel.changes.length;
    await machine.ask({ command: 'grant', door: 'ssh', address: GUEST });
    await machine.ask({ command: 'ban', address: '203.0.113.5' });
    for (let passed = 0; passed < 35; passed += 1) await second(machine);
    expect(await isIn(machine)).toBe(false);
    expect(machine.kernel.changes).toHaveLength(before);
    machine.stoodDown = undefined;
    await second(machine);
    expect(await isIn(machine)).toBe(true);
    const { grants, bans } = await machine.kernel.firewall.readBack();
    expect([grants.length, bans.length]).toEqual([1, 1]);
    expect(events(machine)).toEqual(['firewall.stood_down', 'firewall.resumed']);
    expect(await problems(machine)).toEqual([]);
  });

  // Against: standing down over the control socket, by whoever may use it
  // by: who asks there only has root's file looked at
  it('is so from its start, and takes out what stands there', async () => {
    const machine = memoryMachine(CONFIG);
    await machine.kernel.firewall.install();
    machine.stoodDown = DOWN;
    await start(machine);
    expect(await isIn(machine)).toBe(false);
    expect(machine.kernel.installs()).toBe(1);
    expect(events(machine)).toEqual(['firewall.stood_down']);
    machine.stoodDown = undefined;
    // As soon as somebody has it look; who asks can't stand it down himself.
    expect(await machine.ask({ command: 'stand_down' })).toMatchObject({ data: { stood_down: false } });
    expect(await isIn(machine)).toBe(true);
    expect(await machine.ask({ command: 'stand_down' })).toMatchObject({ data: { stood_down: false } });
    expect(await isIn(machine)).toBe(true);
  });

  it('takes a reload, and has it in force once it is over', async () => {
    const machine = memoryMachine(CONFIG);
    const daemon = await start(machine);
    machine.stoodDown = DOWN;
    await second(machine);
    machine.file = OTHER;
    await daemon.reload();
    expect(await isIn(machine)).toBe(false);
    expect(machine.kernel.replaced()).toBeUndefined();
    machine.stoodDown = { ...DOWN, id: 'cd' };
    await second(machine);
    expect(events(machine)).toEqual(['firewall.stood_down', 'firewall.stood_down']);
    machine.stoodDown = undefined;
    await second(machine);
    expect(machine.kernel.replaced()?.doors.map(({ name }) => name)).toEqual(['web']);
  });

  it('takes out again what others put in, and repairs nothing', async () => {
    const machine = memoryMachine(CONFIG);
    await start(machine);
    machine.stoodDown = DOWN;
    await second(machine);
    const { installs } = machine.kernel;
    const before = installs();
    for (const what of ['rules', 'sets'] as const) {
      await machine.kernel.firewall.install();
      await machine.kernel.tamper(what);
      expect(await isIn(machine), what).toBe(false);
    }
    await machine.kernel.firewall.install();
    machine.kernel.listener()?.onSound();
    await settled();
    expect(await isIn(machine)).toBe(false);
    expect(installs()).toBe(before + 3);
    expect(events(machine)).toEqual(['firewall.stood_down']);
  });
});

describe('what is suspended', () => {
  const config = configOf(CONFIG);
  const ban = { change: 'ban', target: hostCidr(parseAddress(GUEST) ?? expect.unreachable()) } as const;
  const options = { config, now: () => 0 };

  it('has the base policy put in again, also one that was asked for meanwhile', async () => {
    const memory = memoryFirewall(options);
    const based = vi.fn(memory.installBase);
    const firewall = suspendable({ ...memory, installBase: based });
    await firewall.suspend();
    await firewall.installBase();
    expect(based).not.toHaveBeenCalled();
    await firewall.resume('as it was');
    expect(based).toHaveBeenCalledTimes(1);
    await firewall.install();
    expect(based).toHaveBeenCalledTimes(1);
    await firewall.suspend();
    await firewall.resume('with its base policy');
    expect(based).toHaveBeenCalledTimes(2);
  });

  it('is not suspended any more where putting in fails, and what was taken meanwhile is not lost', async () => {
    const memory = memoryFirewall(options);
    let broken = true;
    const replaced: string[] = [];
    const firewall = suspendable({
      ...memory,
      replace(next, oneTime) {
        if (broken) return Promise.reject(new FirewallError('install', 'REFUSED', 'try again'));
        replaced.push(...next.doors.map(({ name }) => name));
        return memory.replace(next, oneTime);
      },
    });
    await firewall.suspend();
    expect(await firewall.replace(configOf(OTHER))).toEqual([]);
    await expect(firewall.resume('as it was')).rejects.toThrow('REFUSED');
    broken = false;
    await firewall.apply([{ ...ban, until: 60_000 }]);
    expect((await firewall.readBack()).bans).toHaveLength(1);
    await firewall.install();
    expect(replaced).toEqual(['web']);
  });
});
