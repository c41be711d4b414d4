import { createHmac, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { explainLines } from '../../../src/cli/commands/explain.ts';
import type { Explanation } from '../../../src/control/answers.ts';
import type { Daemon } from '../../../src/daemon/run.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import type { Key } from '../../../src/spa/key.ts';
import { BEN, datagram, type KeysMachine, keysMachine } from '../../support/keys-machine.ts';
import { QUIET, settled, startOn } from '../../support/memory-machine.ts';
import { v1Packet } from '../spa/spa-world.ts';

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
  // Against: looks for the keys' port by how many packets without a proof it takes to be struck
  // by: they are counted only where the port would be watched without keys
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

describe('the end of a key', () => {
  it('that is set to an earlier moment ends at that moment what it has opened, not what others hold', async () => {
    const machine = await start(CONFIG.replace('for: 1m', 'for: 8h'));
    await machine.knock(ADA, machine.own());
    await machine.ask({ command: 'grant', door: 'ssh', address: OTHER });
    const within = 1 + Math.floor(Math.random() * 60_000);
    machine.keys = [machineKey({ expires: machine.clock.wall() + 60_000 + within })];
    await machine.ask({ command: 'reload' });
    await pass(machine, 59_000);
    expect(machine.named('door.closed')).toEqual([]);
    await pass(machine, within + 2_000);
    expect(machine.named('door.closed')).toMatchObject([{ key: 'ben', reason: 'key' }]);
    const { grants } = await machine.kernel.firewall.readBack();
    expect(grants.map(({ grantee }) => (grantee === 'any' ? grantee : formatCidr(grantee)))).toEqual([OTHER]);
  });
});

describe('a clock that nobody keeps in step', () => {
  const said = ({ said: events }: KeysMachine): number =>
    events.filter((event) => 'reason' in event && `${event.reason}`.includes('clock is not synchronised'))
      .length;
  async function startWith(
    text: string,
  ): Promise<{ machine: KeysMachine; set(synchronised: boolean): void }> {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    let synchronised = false;
    const trust = { boot: 'b', synchronised: () => synchronised, hasRtc: () => true };
    const machine = keysMachine(text, { keys: [BEN] }, { trust });
    daemons.push(await startOn(machine));
    return {
      machine,
      set(now) {
        synchronised = now;
      },
    };
  }
  const minutes = async (machine: KeysMachine, count: number): Promise<void> => {
    for (let passed = 0; passed < 60 * count; passed += 1) await pass(machine, 1_000);
  };

  it('is said once where keys are taken, and again where it comes back', async () => {
    const { machine, set } = await startWith(CONFIG);
    expect(said(machine)).toBe(1);
    await minutes(machine, 2);
    expect(said(machine)).toBe(1);
    set(true);
    await minutes(machine, 1);
    set(false);
    await minutes(machine, 1);
    expect(said(machine)).toBe(2);
  });

  it('is nothing to say where no key is', async () => {
    const { machine } = await startWith(
      '{ doors: { ssh: { knock: [7000, 8000], opens: [22] } }, memory: { sources: 1024 } }',
    );
    expect(said(machine)).toBe(0);
  });
});

describe('a used packet', () => {
  // Against: sets the clock back, and sends a used packet
  // by: what was forgotten raised its key's floor, and nothing under it is believed
  it('opens nothing again wherever the clock is set, and a new one opens', async () => {
    const machine = await start();
    const { clock } = machine;
    const began = clock.wall();
    const used = machine.own();
    await machine.knock(ADA, used);
    const reasons = (): readonly string[] =>
      machine.named('spa.rejected').map((event) => ('reason' in event ? String(event.reason) : ''));
    clock.setWall(began - 3_600_000);
    await machine.knock(ADA, used);
    // What is too old is forgotten once another packet comes, and nothing as old is believed from then on.
    clock.setWall(began + 3_600_000);
    await machine.knock(ADA, used);
    await machine.knock(ADA, machine.own());
    clock.setWall(began + 10);
    await machine.knock(ADA, used);
    expect(reasons()).toEqual(['stale', 'stale', 'stale']);
    clock.setWall(began + 3_600_100);
    await machine.knock(ADA, machine.own());
    expect(machine.named('spa.accepted')).toHaveLength(3);
  });

  it('that does not say when it was made opens nothing again when its key has got another name', async () => {
    const secret = Buffer.from('a secret of eve');
    const credential = { kind: 'doorman', group: 'eve', secret } as const;
    const eve: Key = { ...BEN, name: 'eve', person: null, credential };
    const said = '22 eve 1234567890';
    const mac = createHmac('md5', secret).update(said).digest('hex');
    const machine = await start(CONFIG, [eve]);
    const used = Buffer.from(`${said} ${mac}`);
    await machine.knock(ADA, used);
    expect(machine.named('spa.accepted')).toHaveLength(1);
    machine.keys = [{ ...eve, name: 'eva' }];
    await machine.ask({ command: 'reload' });
    await pass(machine, 1_000);
    await machine.knock(OTHER, used);
    expect(machine.named('spa.accepted')).toHaveLength(1);
    expect(machine.named('spa.rejected')).toMatchObject([{ key: 'eva', reason: 'replayed' }]);
  });

  // Against: sends one recorded packet of a key again and again in its sender's name, so that the key has no proofs
  // left for its owner
  // by: what was proven takes no proof a second time
  it('sent again and again in its sender’s name keeps nobody out: its owner opens from a new address', async () => {
    const machine = await start();
    const used = machine.own();
    await machine.knock(ADA, used);
    for (let second = 0; second < 2; second += 1) {
      for (let count = 0; count < 100; count += 1) machine.sources.sendToKeys([datagram(ADA, used)]);
      await machine.knock(OTHER, machine.own());
      await pass(machine, 1_000);
    }
    expect(machine.named('spa.accepted')).toHaveLength(3);
    expect(machine.named('spa.unauthenticated')).toEqual([]);
  });

  it('is used up for good also where the door did not open, since its packets are not tracked', async () => {
    const why = { code: 'untracked', what: 'packets are not tracked', fix: 'track them' };
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    const machine = keysMachine(
      CONFIG,
      {},
      { createSurroundings: () => ({ ...QUIET, shut: () => [why] as never }) },
    );
    daemons.push(await startOn(machine));
    await machine.knock(ADA, machine.own());
    expect(machine.named('spa.accepted')).toEqual([]);
    expect(machine.store.uses().seen).toHaveLength(1);
    expect(machine.store.uses().used.get('ben')?.uses).toBe(1);
  });

  it('sent at the edge of what clocks may differ by opens, and a little beyond is stale', async () => {
    const machine = await start();
    const within = Math.floor(Math.random() * 5_000);
    for (const distance of [60_000 - within, -60_000 + within, 60_001 + within, -60_001 - within])
      await machine.knock(ADA, machine.own({ time: Math.floor(machine.clock.wall()) - distance }));
    expect(machine.named('spa.accepted')).toHaveLength(2);
    expect(machine.named('spa.rejected')).toMatchObject([{ reason: 'stale' }, { reason: 'stale' }]);
  });
});

describe('a key', () => {
  // Against: has kept the secret from before a key was rotated
  // by: the first use of the new one ends it, over reloads and restarts
  it('whose new secret was used is not taken by the old one again, after a reload and a restart', async () => {
    const old = { kind: 'secret', secret: Buffer.alloc(32, 1) } as const;
    const rotated = machineKey({ previous: { credential: old, until: 1_763_700_000_000 + 86_400_000 } });
    const machine = await start(CONFIG, [rotated]);
    let nonce = 900;
    const nextNonce = (): number => {
      nonce += 1;
      return nonce;
    };
    const byOld = (): Buffer => v1Packet(old, { time: Math.floor(machine.clock.wall()), nonce: nextNonce() });
    await machine.knock(ADA, byOld());
    expect(machine.named('spa.accepted')).toHaveLength(1);
    await machine.knock(ADA, machine.own());
    await machine.knock(ADA, byOld());
    expect(machine.named('spa.accepted')).toHaveLength(2);
    machine.keys = [
      rotated,
      { ...BEN, name: 'eve', credential: { kind: 'secret', secret: Buffer.alloc(32, 3) } },
    ];
    await machine.ask({ command: 'reload' });
    await machine.knock(ADA, byOld());
    await daemons.pop()?.stop('a restart');
    daemons.push(await startOn(machine));
    await machine.knock(ADA, byOld());
    expect(machine.named('spa.accepted')).toHaveLength(2);
    await pass(machine, 1_000);
    await machine.knock(ADA, machine.own());
    expect(machine.named('spa.accepted')).toHaveLength(3);
  });

  it('is told to the commands of the door', async () => {
    const hooked = CONFIG.replace(
      'for: 1m',
      'for: 1m, on_open: [/bin/o, "%KEY%"], on_close: [/bin/c, "%PERSON%"]',
    );
    const machine = await start(hooked);
    await machine.knock(ADA, machine.own());
    await machine.ask({ command: 'revoke', address: ADA });
    expect(machine.ran.map(({ subject }) => [subject.key, subject.person])).toEqual([
      ['ben', 'ben'],
      ['ben', 'ben'],
    ]);
  });

  it('that is revoked with its connections cuts those whom it let in, and nobody else', async () => {
    const machine = await start();
    await machine.knock(ADA, machine.own());
    await machine.knock(OTHER, machine.own());
    await machine.ask({ command: 'revoke', address: OTHER });
    const cuts = (): readonly string[] =>
      machine.kernel.changes.flatMap((change) =>
        change.change === 'cut' ? [formatCidr(change.target)] : [],
      );
    expect(await machine.ask({ command: 'key_revoke', name: 'ben', cut: true })).toMatchObject({
      ok: true,
      data: { changed: 1 },
    });
    expect(cuts()).toEqual([ADA]);
    expect(machine.named('door.closed').at(-1)).toMatchObject({ reason: 'key', key: 'ben' });
  });

  it('whose packets are too many to be looked into is a problem that status tells, for a minute', async () => {
    const keys = Array.from({ length: 32 }, (_, index): Key => {
      const secret = Buffer.alloc(32, index + 1);
      const credential = {
        kind: 'fwknop',
        key: secret,
        hmac: secret,
        digest: 'sha256',
        mode: 'cbc',
      } as const;
      return { ...BEN, name: `ada${index}`, credential };
    });
    const machine = await start(CONFIG, keys);
    for (let count = 0; count < 1_000; count += 1)
      machine.sources.sendToKeys([datagram(ADA, Buffer.from(randomBytes(153).toString('base64')))]);
    await pass(machine, 1_000);
    const problems = async (): Promise<string> => JSON.stringify(await machine.ask({ command: 'status' }));
    const over = machine.named('spa.overload').map((event) => ('count' in event ? Number(event.count) : 0));
    expect(over[0]).toBeGreaterThan(0);
    expect(await problems()).toContain(`${over[0]} packets to the ports of keys were not looked into`);
    await pass(machine, 61_000);
    expect(await problems()).not.toContain('not looked into');
  });
});

function machineKey(more: Partial<Key>): Key {
  return { ...BEN, ...more };
}
