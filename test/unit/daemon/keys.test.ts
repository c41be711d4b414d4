import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { explainLines } from '../../../src/cli/commands/explain.ts';
import type { Explanation } from '../../../src/control/answers.ts';
import type { Daemon } from '../../../src/daemon/run.ts';
import type { Key } from '../../../src/spa/key.ts';
import { BEN, type KeysMachine, keysMachine } from '../../support/keys-machine.ts';
import { settled, startOn } from '../../support/memory-machine.ts';

/* What a running daemon does with packets of keys, over a kernel, a disk and a clock of the test's own. */

const ADA = '198.51.100.7';
const OTHER = '198.51.100.8';
const SMALL = 'memory: { sources: 1024 }';
const CONFIG = `{ listen: { spa: [62201/udp] }, doors: { ssh: { knock: spa, opens: [22], for: 1m } }, decoys: [23], bans: { strikes: 2, rate: { packets: 5, per: 1s }, limit: 1024 }, ${SMALL} }`;
const CONFIG_ALL = CONFIG.replace('decoys: [23]', 'decoys: all');

const daemons: Daemon[] = [];
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('the test is over');
  vi.useRealTimers();
});

async function start(text = CONFIG, keys: readonly Key[] = [BEN]): Promise<KeysMachine> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  const machine = keysMachine(text, { keys });
  daemons.push(await startOn(machine));
  return machine;
}

async function pass({ clock }: KeysMachine, ms: number): Promise<void> {
  clock.pass(ms);
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
}

async function explained(machine: KeysMachine, address = ADA): Promise<readonly string[]> {
  const answer = await machine.ask({ command: 'explain', address });
  if (!answer.ok) throw new Error(answer.error.message);
  return explainLines(answer.data as Explanation, { width: 200, now: machine.clock.wall() });
}

describe('a packet that no key proves', () => {
  it.each([
    ['decoys: [23]', CONFIG, []],
    ['decoys: all', CONFIG_ALL, ['decoy.hit']],
  ])(
    'is what a packet to any other port would be, with %s: also by how many come',
    async (_, text, wanted) => {
      const machine = await start(text);
      for (let count = 0; count < 30; count += 1) await machine.knock(ADA, randomBytes(144));
      const offences = machine.said
        .map(({ event }) => event)
        .filter((event) => /^(decoy|scan|ban|spa.rej)/.test(event));
      expect(offences.slice(0, 1)).toEqual(wanted);
      expect(offences.includes('ban.added')).toBe(wanted.length > 0);
      await pass(machine, 1_000);
      expect(machine.named('spa.unauthenticated')).toMatchObject([{ count: 30 }]);
    },
  );
});

describe('explain', () => {
  it('says of each packet of a key whose it was, what it opened, or in words and figures why nothing', async () => {
    const expired = machineKey({ expires: 1_763_700_000_000 - 90_000_000 });
    const machine = await start(CONFIG, [BEN]);
    const used = machine.own();
    await machine.knock(ADA, used);
    await pass(machine, 1_000);
    await machine.knock(ADA, used);
    await pass(machine, 1_000);
    await machine.knock(ADA, machine.own({ time: machine.clock.wall() - 14_700_000 }));
    await pass(machine, 1_000);
    await machine.knock(ADA, machine.own({ door: 'web' }));
    machine.keys = [expired];
    await machine.ask({ command: 'reload' });
    await pass(machine, 1_000);
    await machine.knock(ADA, machine.own());
    machine.keys = [machineKey({ uses: 1 })];
    await machine.ask({ command: 'reload' });
    await pass(machine, 1_000);
    await machine.knock(ADA, machine.own());
    const rows = (await explained(machine)).filter((line) => line.includes('62201/udp'));
    const why = rows.map((line) =>
      line
        .slice(line.indexOf('62201/udp') + 9)
        .trim()
        .replace(/ +/g, ' '),
    );
    expect(why).toEqual([
      'proven a packet of key ben (ben): ssh is open',
      'replayed a packet of key ben (ben) that opens nothing: it was used already',
      "stale a packet of key ben (ben) that opens nothing: its clock is 4 h 5 min behind this machine's",
      'refused a packet of key ben (ben) that opens nothing: its key may not open the door that it names',
      'refused a packet of key ben (ben) that opens nothing: its key expired 1 d 1 h ago',
      'refused a packet of key ben (ben) that opens nothing: its key may open once in all, and 30 times in 1 min',
    ]);
  });

  it('says of a used packet that another sent that this was a strike', async () => {
    const machine = await start();
    const used = machine.own();
    await machine.knock(ADA, used);
    await machine.knock(OTHER, used);
    expect((await explained(machine, OTHER)).join('\n')).toContain('it was used already; strike 1');
  });
});

function machineKey(more: Partial<Key>): Key {
  return { ...BEN, ...more };
}
