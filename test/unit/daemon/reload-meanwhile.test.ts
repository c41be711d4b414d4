import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Dependencies } from '../../../src/daemon/dependencies.ts';
import type { Exempt } from '../../../src/daemon/exemptions.ts';
import type { Daemon } from '../../../src/daemon/run.ts';
import type { Firewall } from '../../../src/firewall/firewall.ts';
import { formatAddress } from '../../../src/packet/address.ts';
import { BEN, keysMachine } from '../../support/keys-machine.ts';
import { type MemoryMachine, memoryMachine, settled, startOn } from '../../support/memory-machine.ts';
import type { TestClock } from '../../support/test-clock.ts';
import { tcp } from '../source/capture-bytes.ts';

/* What comes while a reload waits: for the kernel, or to hear who is never banned. */

const GUEST = '198.51.100.7';
const SMALL = 'memory: { sources: 1024 }, bans: { strikes: 2, limit: 1024 }';
const SSH = 'ssh: { knock: [7000, 8000], opens: [22], for: 1h, on_close: [/bin/close] }';

const daemons: Daemon[] = [];
let serial = 0;
let file = '';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-reload-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  file = join(folder, 'once');
  writeFileSync(file, '7101:tcp,8101:tcp\n7102:tcp,8102:tcp\n');
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('the test is over');
  vi.clearAllTimers();
  vi.useRealTimers();
});

const once = (): string => `once: { one_time: ${file}, opens: [80], for: 1m, on_open: [/bin/open] }`;
const configured = (...doors: readonly string[]): string => `{ doors: { ${doors.join(', ')} }, ${SMALL} }`;

async function start<Machine extends MemoryMachine>(machine: Machine): Promise<Daemon> {
  const daemon = await startOn(machine);
  daemons.push(daemon);
  return daemon;
}

async function send(machine: MemoryMachine<TestClock>, ...ports: number[]): Promise<void> {
  machine.clock.pass(10);
  machine.sources.send(
    ports.map((port) => {
      serial += 1;
      return tcp({ from: GUEST, to: '192.0.2.1', port, sequence: serial });
    }),
  );
  await settled();
}

/** The kernel takes its time for the next configuration: until the answer is called. */
function slowKernel({ dependencies }: MemoryMachine): () => void {
  const { replace } = dependencies.firewall;
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const slow: Pick<Firewall, 'replace'> = {
    async replace(config, oneTime) {
      await gate;
      return replace(config, oneTime);
    },
  };
  Object.assign(dependencies.firewall, slow);
  return go;
}

const open = async ({ kernel }: MemoryMachine): Promise<readonly string[]> =>
  (await kernel.firewall.readBack()).grants.map(({ door, grantee }) =>
    grantee === 'any' ? `${door} any` : `${door} ${formatAddress(grantee.address)}`,
  );
const names = ({ said }: MemoryMachine, like: RegExp): readonly string[] =>
  said.map(({ event }) => event).filter((event) => like.test(event));

describe('a one-time line', () => {
  it('that is used while a reload waits for the kernel is followed by the next, and not by itself', async () => {
    const machine = memoryMachine(configured(once()));
    const daemon = await start(machine);
    const go = slowKernel(machine);
    const reloaded = daemon.reload();
    await settled();
    await send(machine, 7101, 8101);
    expect(await open(machine)).toEqual([`once ${GUEST}`]);
    go();
    await reloaded;
    await settled();
    machine.clock.pass(61_000);
    await send(machine, 7102, 8102);
    expect(names(machine, /^(door.opened|knock.wrong|ban)/)).toEqual(['door.opened', 'door.opened']);
    expect(readFileSync(file, 'utf8')).toBe('#7101:tcp,8101:tcp\n#7102:tcp,8102:tcp\n');
  });

  // Against: replaying a one-time sequence where it was knocked while a reload was under way
  // by: engine and configuration change at one moment; what a file says is read after the kernel has been waited for
  it('of a door that a reload has brought is used up by the first who knocks it, however soon he does', async () => {
    let tell = (_: Exempt): void => undefined;
    let asked = 0;
    const findExempt = (): Promise<Exempt> => {
      asked += 1;
      const none = { networks: [], everybody: [] };
      // At the start it is known at once; at the reload not yet.
      return asked === 1 ? Promise.resolve(none) : new Promise((resolve) => (tell = resolve));
    };
    const machine = memoryMachine(configured(SSH), {}, { findExempt });
    const daemon = await start(machine);
    machine.file = configured(SSH, once());
    const reloaded = daemon.reload();
    await settled();
    await send(machine, 7101, 8101);
    expect(await open(machine)).toEqual([`once ${GUEST}`]);
    expect(readFileSync(file, 'utf8')).toBe('#7101:tcp,8101:tcp\n7102:tcp,8102:tcp\n');
    expect(machine.ran.map(({ argv }) => argv[0])).toEqual(['/bin/open']);
    tell({ networks: [], everybody: [] });
    await reloaded;
  });
});

describe('a key', () => {
  const KEYS = `{ listen: { spa: [62201/udp] }, doors: { ssh: { knock: spa, opens: [22], for: 1m } }, ${SMALL} }`;

  it('that is revoked while the daemon starts, before it can be told, opens nothing', async () => {
    const machine = keysMachine(KEYS, { keys: [BEN] });
    const { dependencies } = machine;
    const { openControl } = dependencies;
    const slow: Pick<Dependencies, 'openControl'> = {
      openControl(handle) {
        machine.keys = [];
        return openControl(handle);
      },
    };
    Object.assign(dependencies, slow);
    await start(machine);
    await machine.knock(GUEST, machine.own());
    expect(await open(machine)).toEqual([]);
    expect(names(machine, /^key/)).toEqual(['key.revoked']);
  });

  it('that is revoked while a reload waits for the kernel opens nothing once that is in force', async () => {
    const machine = keysMachine(KEYS, { keys: [BEN] });
    const daemon = await start(machine);
    const go = slowKernel(machine);
    const reloaded = daemon.reload();
    await settled();
    machine.keys = [];
    expect(await machine.ask({ command: 'key_revoke', name: 'ben' })).toMatchObject({ ok: true });
    go();
    await reloaded;
    await machine.knock(GUEST, machine.own());
    expect(await open(machine)).toEqual([]);
    expect(names(machine, /^key/)).toEqual(['key.revoked']);
  });
});
