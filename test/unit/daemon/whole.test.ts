import { afterEach, describe, expect, it } from 'vitest';
import type { Daemon } from '../../../src/daemon/run.ts';
import { type MemoryMachine, memoryMachine, settled, startOn } from '../../support/memory-machine.ts';
import { tcp } from '../source/capture-bytes.ts';

const GUEST = '198.51.100.7';
const CONFIG = `{ doors: { ssh: { knock: [7000, 8000], opens: [22], for: 1m, on_open: [/bin/open, "%IP%"] } }, memory: { sources: 1024 } }`;

let daemon: Daemon | undefined;
let serial = 0;

async function start(text = CONFIG): Promise<MemoryMachine> {
  const machine = memoryMachine(text);
  daemon = await startOn(machine);
  return machine;
}

afterEach(async () => {
  await daemon?.stop('the test is over');
  daemon = undefined;
});

/** Each a packet, all of them one batch. */
function knock({ sources }: MemoryMachine, from: string, ...ports: number[]): void {
  sources.send(
    ports.map((port) => {
      serial += 1;
      return tcp({ from, to: '192.0.2.1', port, sequence: serial });
    }),
  );
}

const names = ({ said }: MemoryMachine): readonly string[] => said.map(({ event }) => event);

describe('a whole daemon in memory', () => {
  it('opens a door to who knocks, keeps that, says it, runs its command, and says its own end', async () => {
    const machine = await start();
    knock(machine, GUEST, 7000, 8000);
    await settled();
    expect(names(machine)).toEqual(['daemon.ready', 'knock.accepted', 'knock.accepted', 'door.opened']);
    expect((await machine.kernel.firewall.readBack()).grants).toHaveLength(1);
    expect(machine.store.load(machine.clock.wall()).grants).toHaveLength(1);
    expect(machine.ran).toEqual([
      {
        argv: ['/bin/open', '%IP%'],
        subject: { ip: GUEST, door: 'ssh', ports: '22/tcp', key: '', person: '', member: '' },
      },
    ]);
    await daemon?.stop('told to');
    daemon = undefined;
    expect(machine.logged.at(-1)).toMatchObject({ event: 'daemon.stopped', reason: 'told to' });
    knock(machine, '198.51.100.8', 7000, 8000);
    await settled();
    expect(names(machine).at(-1)).toBe('daemon.stopped');
  });
});
