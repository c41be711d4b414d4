import { afterEach, beforeEach, vi } from 'vitest';
import type { Dependencies } from '../../src/daemon/dependencies.ts';
import type { Daemon } from '../../src/daemon/run.ts';
import { createMemoryEngine, type MemoryEngine } from '../../src/fleet/memory-bus.ts';
import { openMemoryStore } from '../../src/state/memory.ts';
import { tcp } from '../unit/source/capture-bytes.ts';
import { type MemoryMachine, memoryMachine, settled, startOn } from './memory-machine.ts';
import { NOW, type TestClock, testClock } from './test-clock.ts';

/* Daemons of one fleet, over a kernel, a disk, a clock and a bus of the test's own. */

export type Machine = MemoryMachine<TestClock>;

export const GUEST = '198.51.100.7';
export const STRANGER = '203.0.113.9';
const SECRET = 'a secret that all members have';
const SMALL = 'memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024 }';
const SSH = 'ssh: { knock: [7000, 8000], opens: [22], for: 1m }';

export let bus: MemoryEngine;
let passed = 0;
let serial = 0;
let running: { readonly name: string; readonly machine: Machine; readonly daemon: Daemon }[] = [];

/** To be called once by a file of tests. */
export function fleetOfTests(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    passed = 0;
    bus = createMemoryEngine({
      wire: { carry: (_member, _way, arrive) => setImmediate(arrive) },
      now: () => NOW + passed,
      fsync: 'always',
    });
  });
  afterEach(async () => {
    for (const { daemon } of running.splice(0)) await daemon.stop('the test is over');
    vi.clearAllTimers();
    vi.useRealTimers();
  });
}

interface Given {
  readonly doors?: string;
  readonly more?: string;
  readonly accept?: string;
  readonly share?: string;
  readonly others?: Partial<Dependencies>;
  readonly before?: Machine;
}

export async function start(
  name: string,
  { doors = SSH, more = SMALL, accept = '{}', share = '[grants, bans]', before, others = {} }: Given = {},
): Promise<Machine> {
  const fleet = `fleet: { name: ${name}, engine: 'redis://127.0.0.1:6379', accept: ${accept}, share: ${share} }`;
  const clock = before?.clock ?? testClock(NOW + passed);
  const given = { openBus: () => bus.bus(name), secret: SECRET };
  const store = before?.store ?? openMemoryStore({}, clock.wall());
  const text = `{ doors: { ${doors} }, decoys: [23, 2323], ${more}, ${fleet} }`;
  const machine = memoryMachine(text, { clock, store }, { fleet: given, ...others });
  let daemon: Daemon | undefined;
  const starting = startOn(machine).then((started) => {
    daemon = started;
  });
  while (daemon === undefined) await pass(20, machine);
  await starting;
  running.push({ name, machine, daemon });
  return machine;
}

/** Three that have met. */
export async function startThree(given: Given = {}): Promise<readonly [Machine, Machine, Machine]> {
  const machines = [
    await start('edge1', given),
    await start('edge2', given),
    await start('edge3', given),
  ] as const;
  await pass(1_500);
  return machines;
}

export async function pass(ms: number, besides?: Machine): Promise<void> {
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

export async function send(machine: Machine, from: string, ...ports: number[]): Promise<void> {
  for (const port of ports) {
    serial += 1;
    machine.sources.send([tcp({ from, to: '192.0.2.1', port, sequence: serial })]);
    await pass(20);
  }
}

export const kernel = async ({ kernel: { firewall } }: Machine): Promise<string> => {
  const { bans, grants } = await firewall.readBack();
  return `${bans.length} bans, ${grants.length} grants`;
};
export const all = async (...machines: Machine[]): Promise<readonly string[]> =>
  Promise.all(machines.map(kernel));

export async function stop(machine: Machine): Promise<void> {
  const [found] = running.filter((one) => one.machine === machine);
  running = running.filter((one) => one !== found);
  bus.cut(found?.name ?? '');
  await found?.daemon.stop('the test says so');
}
