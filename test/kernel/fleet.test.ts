import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { encode, type Records } from '../../src/fleet/message.ts';
import { connect } from '../../src/fleet/redis-connect.ts';
import type { BanRegister, GrantRegister } from '../../src/fleet/register.ts';
import { ipv4, parseAddress } from '../../src/packet/address.ts';
import { hostCidr } from '../../src/packet/cidr.ts';
import { ask } from '../support/asked.ts';
import { type Line, NFKNOCK, writeConfig } from '../support/daemon.ts';
import {
  bansOf,
  becomes,
  type FleetLab,
  fleetLab,
  grantsOf,
  LATE,
  type LabMember,
  passwordOf,
  rests,
  SERVICES,
  type Send,
  statusOf,
  WEB_KNOCK,
  within,
} from '../support/fleet-lab.ts';

/* Three whole daemons of one fleet over a Redis of Debian's. */

/** The same packets go to all members at once: how many times. */
const TIMES = env['NFKNOCK_LONG'] === undefined ? { line: 15, packet: 5 } : { line: 300, packet: 300 };
const TOGETHER = 5;
/** Of several members that ask each has its answer, or none, within so long. */
const SHUT_WITHIN = 3_000;
/** How often a member, and then the engine, is killed in the midst of work. */
const ROUNDS = env['NFKNOCK_LONG'] === undefined ? 4 : 32;
const SECOND = 1_000;
/** What was announced holds everywhere so long after rest. */
const REST = 2_000;
/** edge2 alone exempts it. */
const EXEMPT = '203.0.113.250';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const [KEY, HMAC] = [base64(randomBytes(32)), base64(randomBytes(32))];
const ADA = `ada: { person: ada, fwknop: { key: "base64:${KEY}", hmac: "base64:${HMAC}" }, doors: [ssh], for_max: 5m }`;
const LINES = Array.from(
  { length: TIMES.line + 15 },
  (_, at) => `${20_000 + 2 * at}/tcp,${20_001 + 2 * at}/tcp`,
);

/** Three daemons that have to wait for a processor take their time. */
vi.setConfig({ testTimeout: env['NFKNOCK_LONG'] === undefined ? 300_000 : 3_600_000 });

let fleet: FleetLab;

beforeAll(async () => {
  fleet = await fleetLab({ sequences: LINES, keys: [ADA], never: { edge2: [EXEMPT] } });
  // The engine was just started: nothing is claimed until its members had time to tell it what it may have forgotten.
  await sleep(3_000);
}, 300_000);
afterAll(() => fleet?.close());

let taken = 0;
/** An address that nobody has been told of. */
const fresh = (): string => {
  taken += 1;
  return `203.0.${114 + Math.floor(taken / 250)}.${1 + (taken % 250)}`;
};
const isBanned = async (member: LabMember, address: string): Promise<boolean> =>
  (await bansOf(member)).some(({ target, shadow }) => target === address && !shadow);
const reaches = (member: LabMember, port: number, timeout = 300): Promise<boolean> =>
  member.net.clientA.canConnect(member.net.clientA.server4, port, timeout);
const timeOf = ({ time }: Line): number => Date.parse(time);
/** Openings that were decided at this member. */
const openedHere = ({ daemon }: LabMember, door: string, source: string): readonly Line[] =>
  ['door.opened', 'door.renewed'].flatMap((event) =>
    daemon.seen({ event, door, source }).filter((line) => line.origin === undefined),
  );
const openedAt = (door: string, source: string): readonly Line[] =>
  fleet.members.flatMap((member) => openedHere(member, door, source));
const openings = (door: string, source: string): number => openedAt(door, source).length;
/** Everything that the members said of a source, for who reads of a failure. */
const allOf = (source: string): string =>
  fleet.members
    .map(({ daemon }) => daemon.seen({ source }).map((line) => JSON.stringify(line)))
    .map((lines, index) => [`member ${index + 1}:`, ...lines].join('\n'))
    .join('\n');
const openEverywhere = (door: string, source: string): Promise<unknown> =>
  Promise.all(
    fleet.members.map(({ daemon }) => daemon.waitFor({ event: 'door.opened', door, source }, LATE)),
  );
/** Lines of the one-time door that are marked at this member. */
const usedAt = ({ sequences }: LabMember): number =>
  readFileSync(sequences, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('#')).length;
const lineOf = (index: number): readonly Send[] =>
  (LINES[index] ?? '').split(',').map((port) => ['tcp', Number.parseInt(port, 10)]);
const WEB: readonly Send[] = WEB_KNOCK.map((port) => ['tcp', port]);
const soon = (): number => Date.now() + 20;

function percentile(times: readonly number[], of: number): number {
  const sorted = [...times].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * of) / 100))] ?? Number.NaN;
}

describe('what one member decides', () => {
  it('holds on all within a second: bans, lifts, grants and their ends', async () => {
    const took: number[] = [];
    for (let round = 0; round < 15; round += 1) {
      const maker = fleet.members[round % 3] as LabMember;
      const address = fresh();
      const steps = [
        [{ command: 'ban', address }, 'ban.added'],
        [{ command: 'unban', address }, 'ban.lifted'],
        [{ command: 'grant', door: 'web', address }, 'door.opened'],
        [{ command: 'revoke', address }, 'door.closed'],
      ] as const;
      for (const [request, event] of steps) {
        await ask(maker.daemon, request);
        const lines = await Promise.all(
          fleet.members.map(({ daemon }) => daemon.waitFor({ event, source: address }, LATE)),
        );
        const made = timeOf(await maker.daemon.waitFor({ event, source: address }));
        took.push(Math.max(...lines.map(timeOf)) - made);
      }
    }
    const figures = `p50 ${percentile(took, 50)} ms, p99 ${percentile(took, 99)} ms`;
    console.info(`from in force at one member to in force at all: ${figures}`);
    expect(percentile(took, 50), figures).toBeLessThan(SECOND);
    expect(percentile(took, 100), figures).toBeLessThan(within(SECOND));
  });

  it('is what their kernels do: a knock at one opens at all, and a ban at one keeps out at all', async () => {
    const source = await fleet.moveToFreshSource();
    const [one, two, three] = fleet.members;
    await one.send(soon(), WEB);
    await openEverywhere('web', source);
    for (const member of fleet.members) expect(await reaches(member, SERVICES.web)).toBe(true);
    expect(openings('web', source)).toBe(1);
    await ask(three.daemon, { command: 'revoke', address: source });
    await two.daemon.waitFor({ event: 'door.closed', source });
    await one.daemon.waitFor({ event: 'door.closed', source });
    for (const member of fleet.members) expect(await reaches(member, SERVICES.web)).toBe(false);
    for (const member of fleet.members) expect(await reaches(member, SERVICES.free)).toBe(true);
    await ask(two.daemon, { command: 'ban', address: source });
    for (const { daemon } of fleet.members) await daemon.waitFor({ event: 'ban.added', source });
    for (const member of fleet.members) expect(await reaches(member, SERVICES.free)).toBe(false);
    await ask(one.daemon, { command: 'unban', address: source });
    for (const { daemon } of fleet.members) await daemon.waitFor({ event: 'ban.lifted', source });
    for (const member of fleet.members) expect(await reaches(member, SERVICES.free)).toBe(true);
  });
});

/** How often a member opened nothing for want of an answer. */
async function shutSoFar(): Promise<number> {
  const states = await Promise.all(fleet.members.map(({ daemon }) => ask(daemon, { command: 'status' })));
  return states.reduce((sum, { fleet: row }) => sum + (row?.claims['shut'] ?? 0), 0);
}

describe('what may be used once, sent to all members at the same moment, opens at exactly one', () => {
  async function together(
    door: string,
    times: number,
    sendsOf: (source: string) => Promise<readonly Send[]>,
  ): Promise<void> {
    const spreads: number[] = [];
    let silent = 0;
    for (let round = 0; round < times; round += 1) {
      const source = await fleet.moveToFreshSource();
      const before = await shutSoFar();
      spreads.push(await fleet.sendToAll(await sendsOf(source)));
      const isOpen = (): boolean => openings(door, source) > 0;
      // Where an answer took longer than a second, since others use the processors, nobody opens.
      await becomes(async () => isOpen() || (await shutSoFar()) > before, LATE);
      if (!isOpen()) await becomes(isOpen, SHUT_WITHIN);
      if (isOpen()) await openEverywhere(door, source);
      else silent += 1;
      expect(openedAt(door, source), allOf(source)).toHaveLength(isOpen() ? 1 : 0);
      // Whoever lost has lost: nothing comes later, and nobody is punished for it.
      for (const { daemon } of fleet.members) expect(daemon.seen({ event: 'ban.added', source })).toEqual([]);
    }
    await sleep(300);
    const close = spreads.filter((spread) => spread <= TOGETHER).length;
    console.info(
      `${door}: ${close} of ${times} were sent within ${TOGETHER} ms; ${silent} opened nowhere, since the engine did not answer`,
    );
    expect(silent).toBeLessThanOrEqual(within(0) === 0 ? 0 : times / 10);
    // Where they come is up to whoever has the processors; what opens is not.
    expect(close).toBeGreaterThan(0);
  }
  // Against: one one-time line, or one packet of a key, sent to all members of a fleet at the same moment
  // by: one mark that nobody can set twice; who gets no answer stays shut
  it('a line of a one-time file, which is then marked in the files of all', async () => {
    let round = 0;
    const before = fleet.members.map(usedAt);
    await together('once', TIMES.line, async () => {
      const wanted = round + (before[0] ?? 0);
      expect(
        await becomes(() => fleet.members.every((member) => usedAt(member) === wanted), LATE),
      ).toBeLessThan(LATE);
      round += 1;
      return lineOf(wanted);
    });
    expect(await becomes(() => fleet.members.every((member) => usedAt(member) >= round), LATE)).toBeLessThan(
      LATE,
    );
    expect(fleet.members.map(usedAt)).toEqual(before.map((count) => count + TIMES.line));
  });

  it("a packet of nfknock's own", async () => {
    await together('ssh', TIMES.packet, async (source) => [['udp', 62_201, fleet.keys.own(source)]]);
  });

  it("a packet of fwknop's client", async () => {
    const [{ net }] = fleet.members;
    const file = join(fleet.keys.folder, 'fwknop-packet');
    await together('ssh', TIMES.packet, async (source) => {
      const to = ['-D', net.clientA.server4, '-p', '62201', '--no-rc-file', '--no-save-args', '-T'];
      const secrets = ['--key-base64-rijndael', KEY, '--use-hmac', '--key-base64-hmac', HMAC];
      const env = ['env', `HOME=${fleet.keys.folder}`, 'fwknop', '-A', 'tcp/22', '-a', source];
      await net.clientA.exec([...env, ...to, ...secrets, '--save-packet', file]);
      const packet = Buffer.from(readFileSync(file, 'latin1').trim(), 'latin1');
      rmSync(file);
      return [['udp', 62_201, packet]];
    });
  });
});

it('a member without its password file does not start, and says how to make one', async () => {
  const [{ net, daemon }] = fleet.members;
  const section = { name: 'edge4', engine: 'unix:/run/none.sock', password: '/run/none' };
  const { file } = writeConfig({ doors: {}, decoys: ['23/tcp'], fleet: section });
  const run = await net.server.exec([...NFKNOCK, 'run', '-c', file]);
  expect(run).toMatchObject({ code: 3, stderr: expect.stringContaining('nfknock fleet users edge4') });
  expect(daemon.seen({ event: 'daemon.stopped' })).toEqual([]);
});

/** Where members disagree over who is banned, or with what was ordered; with all that they said of it. */
async function differences(wanted: ReadonlyMap<string, boolean>): Promise<readonly string[]> {
  const sets = await Promise.all(
    fleet.members.map(async (member) => new Set((await bansOf(member)).map(({ target }) => target))),
  );
  const all = new Set([...wanted.keys(), ...sets.flatMap((set) => [...set])]);
  return [...all].flatMap((target) => {
    const there = sets.map((set) => set.has(target));
    const should = wanted.get(target) ?? there[0];
    if (there.every((is) => is === should)) return [];
    const said = fleet.members.map(
      ({ name, daemon }, at) =>
        `${name} ${there[at] === true ? 'bans' : 'does not'}: ${daemon
          .seen({ source: target })
          .map(({ time, event, origin, reason }) => `${time} ${event} ${origin ?? ''} ${reason ?? ''}`)
          .join('; ')}`,
    );
    return [`${target} should${should === true ? '' : ' not'} be banned: ${said.join(' | ')}`];
  });
}

/** What each member says of its fleet, and has said last. */
async function lives(): Promise<readonly string[]> {
  const states = await Promise.all(fleet.members.map(({ daemon }) => ask(daemon, { command: 'status' })));
  return fleet.members.map(({ name, daemon }, at) => {
    const last = daemon.lines
      .filter(({ event }) => !event.startsWith('ban.'))
      .slice(-12)
      .map((line) => JSON.stringify(line));
    return [`${name}: ${JSON.stringify(states[at]?.fleet)}`, ...last].join('\n  ');
  });
}

describe('what was announced holds everywhere', () => {
  it('two seconds after rest, whichever member and whether the engine is killed meanwhile', async () => {
    const banned = new Map<string, boolean>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const victim = round % 2 === 0 ? (fleet.members[randomInt(3)] as LabMember) : undefined;
      const others = fleet.members.filter((member) => member !== victim);
      let over = false;
      const work = (async () => {
        while (!over) {
          const address = fresh();
          const maker = others[randomInt(others.length)] as LabMember;
          await ask(maker.daemon, { command: 'ban', address });
          banned.set(address, true);
          if (randomInt(3) !== 0) continue;
          // At a member that may not have heard of it yet.
          await ask((others[randomInt(others.length)] as LabMember).daemon, { command: 'unban', address });
          banned.set(address, false);
          await sleep(5);
        }
      })();
      if (victim !== undefined) {
        // What it has announced itself, in its last moment.
        const last = fresh();
        // Its answer comes once the ban is announced; the line may be one of those that a flood's log leaves out.
        await ask(victim.daemon, { command: 'ban', address: last });
        await victim.daemon.stop('SIGKILL');
        await sleep(400);
        over = true;
        await work;
        await victim.restart();
        banned.set(last, true);
      } else {
        await sleep(200);
        await fleet.redis.kill();
        await sleep(400);
        over = true;
        await work;
        await fleet.redis.start();
      }
      await becomes(async () => {
        const rows = await Promise.all(fleet.members.map(({ daemon }) => ask(daemon, { command: 'status' })));
        return rows.every(({ fleet: row }) => row?.up === true);
      }, LATE);
      const settled = await becomes(async () => (await differences(banned)).length === 0, LATE);
      if (settled >= REST) console.info([...(await differences(banned)), ...(await lives())].join('\n'));
      console.info(
        `round ${round}: ${victim?.name ?? 'the engine'}, the same everywhere after ${settled.toFixed()} ms`,
      );
      expect(settled, `round ${round}`).toBeLessThan(within(REST));
    }
    expect(banned.size).toBeGreaterThan(ROUNDS);
    for (const member of fleet.members) {
      const there = new Set((await bansOf(member)).map(({ target }) => target));
      for (const [address, isBanned] of banned)
        expect(there.has(address), `${member.name} ${address}`).toBe(isBanned);
    }
  });
});

describe('while the engine is away', () => {
  // Against: keeping a fleet's engine from its members
  // by: each goes on alone, and what it decided is told later; one-time doors stay shut, and their line is used up
  it('bans and doors go on, one-time doors stay shut, status says so; afterwards all is told', async () => {
    const [one, two] = fleet.members;
    await fleet.redis.kill();
    expect(await becomes(async () => (await statusOf(one)).code === 1, LATE)).toBeLessThan(LATE);
    expect((await statusOf(one)).text).toMatch(/the fleet's engine does not answer since/);
    const source = await fleet.moveToFreshSource();
    await one.send(soon(), WEB);
    await one.daemon.waitFor({ event: 'door.opened', door: 'web', source });
    expect(await reaches(one, SERVICES.web)).toBe(true);
    const address = fresh();
    await ask(two.daemon, { command: 'ban', address });
    expect(await isBanned(two, address)).toBe(true);
    const used = usedAt(one);
    await one.send(soon(), lineOf(used));
    expect(await becomes(() => usedAt(one) === used + 1, LATE)).toBeLessThan(LATE);
    expect(await reaches(one, SERVICES.once)).toBe(false);
    await fleet.redis.start();
    await Promise.all([
      openEverywhere('web', source),
      ...fleet.members.map(({ daemon }) => daemon.waitFor({ event: 'ban.added', source: address }, LATE)),
    ]);
    expect(await rests(fleet)).toBeLessThan(LATE);
    for (const member of fleet.members) expect(await statusOf(member)).toMatchObject({ code: 0 });
    // Nobody could say whether it was used, so it opens nowhere any more.
    await sleep(3_200);
    await two.send(soon(), lineOf(used));
    expect(await becomes(() => usedAt(two) === used + 1, LATE)).toBeLessThan(LATE);
    expect(await reaches(two, SERVICES.once)).toBe(false);
    expect(openings('once', source)).toBe(0);
  });
});

describe('what a member takes of others', () => {
  it('is never a ban of whom it exempts', async () => {
    const [one, two, three] = fleet.members;
    await ask(one.daemon, { command: 'ban', address: EXEMPT });
    await three.daemon.waitFor({ event: 'ban.added', source: EXEMPT });
    await sleep(200);
    expect(await isBanned(two, EXEMPT)).toBe(false);
    expect(two.daemon.seen({ event: 'ban.added', source: EXEMPT })).toEqual([]);
  });

  it('is as its `accept` says, and all that was said meanwhile once it says otherwise', async () => {
    const [one, two, three] = fleet.members;
    await two.reload({ accept: { bans: 'shadow' } });
    await three.reload({ accept: { bans: 'none', grants: 'none' } });
    const source = await fleet.moveToFreshSource();
    await one.send(soon(), WEB);
    await two.daemon.waitFor({ event: 'door.opened', source, origin: 'edge1' }, LATE);
    const address = fresh();
    await ask(one.daemon, { command: 'ban', address });
    await two.daemon.waitFor({ event: 'ban.added', source: address, shadow: true, origin: 'edge1' }, LATE);
    await sleep(200);
    expect(await isBanned(two, address)).toBe(false);
    expect(await isBanned(three, address)).toBe(false);
    expect(await reaches(three, SERVICES.web)).toBe(false);
    await two.reload({});
    await three.reload({});
    for (const member of [two, three])
      expect(await becomes(() => isBanned(member, address), LATE)).toBeLessThan(LATE);
    expect(await becomes(() => reaches(three, SERVICES.web), LATE)).toBeLessThan(LATE);
  });
});

describe('a member whose credentials somebody else has', () => {
  const BANS_MAX = 1_000;
  const PER_MINUTE = 20;
  const MINUTE = 60_000;
  const GRANTS = 100_000;

  // Against: a member with stolen credentials that bans everybody, opens for everybody, or says times far ahead
  // by: limits for each member, exemptions of each machine's own, `accept`
  it('is held to its limits, speaks for nobody else, and bans nobody whom others exempt', async () => {
    const [one, two, evil] = fleet.members;
    for (const member of [one, two])
      await member.reload({ accept: { each: { bans: BANS_MAX, grants_per_minute: PER_MINUTE } } });
    const source = await fleet.moveToFreshSource();
    await one.send(soon(), WEB);
    await two.daemon.waitFor({ event: 'door.opened', source }, LATE);
    await evil.daemon.stop('SIGKILL');
    const login = { name: evil.name, password: passwordOf(evil), ca: null };
    const raw = await connect(fleet.redis.address, login, null, () => undefined);
    const [mine, stream] = [`nfk:main:m:${evil.name}`, `nfk:main:s:${evil.name}`];
    const say = async (records: Records): Promise<void> => {
      const message = Buffer.from(encode({ ...records, number: 0, time: Date.now() }));
      await raw.send(['PUBLISH', mine, message]);
    };
    const now = Date.now();
    const banOf = (address: string | number, more: Partial<BanRegister> = {}): BanRegister => {
      const who = typeof address === 'number' ? ipv4(address) : parseAddress(address);
      if (who === undefined) throw new Error(`${address} is no address`);
      const moments = { gen: 0, since: now, until: now + 3_600_000, count: 1 };
      return { kind: 'ban', target: hostCidr(who), cause: 'strikes', ...moments, ...more };
    };
    const grantOf = (host: number, opened: number): GrantRegister => {
      const who = ipv4(host);
      const about = { kind: 'grant', door: 'web', grantee: hostCidr(who), source: who } as const;
      return { ...about, gen: 0, opened, until: opened + 300_000, uses: null };
    };

    // Whom others exempt, whom another let in, and this machine itself; by somebody's will too.
    const exempt = [EXEMPT, '192.0.2.1', '127.0.0.1'];
    await say({
      kind: 'ban',
      records: exempt.flatMap((each) => [banOf(each), banOf(each, { cause: 'order' })]),
    });
    await say({ kind: 'ban', records: [banOf(source)] });
    // In another's name.
    for (const other of [one.name, 'edge9'])
      for (const words of [
        ['PUBLISH', `nfk:main:m:${other}`, 'x'],
        ['HSET', `nfk:main:b:${other}`, 'x', 'x'],
        ['XADD', `nfk:main:s:${other}`, '*', 'e', 'x'],
        ['SET', `nfk:main:who:${other}`, '{}'],
      ])
        await expect(raw.send(words)).rejects.toThrow(/NOPERM/);
    // Times far ahead.
    await say({ kind: 'ban', records: [banOf(fresh(), { since: now + MINUTE, until: now + 2 * MINUTE })] });
    await say({ kind: 'ban', records: [banOf(fresh(), { gen: (now + MINUTE) * 64 })] });
    await say({ kind: 'amnesty', records: [{ kind: 'amnesty', gen: (now + MINUTE) * 64 }] });
    await say({ kind: 'grant', records: [grantOf(0x0a00_0001, now + MINUTE)] });
    // Bytes that mean nothing.
    for (let length = 0; length < 200; length += 1) {
      await raw.send(['PUBLISH', mine, randomBytes(length)]);
      await raw.send(['XADD', stream, '*', randomBytes(3), randomBytes(length)]);
      await raw.send(['HSET', `nfk:main:b:${evil.name}`, randomBytes(length % 20), randomBytes(length)]);
    }
    await raw.send(['SET', `nfk:main:who:${evil.name}`, `{"version":"${'x'.repeat(100_000)}"}`]);
    // Everybody, and as many grants, over all minutes that a door is open for.
    for (let at = 0; at < 40; at += 1)
      await say({
        kind: 'ban',
        records: Array.from({ length: 256 }, (_, host) => banOf(0x0b00_0000 + at * 256 + host)),
      });
    const slowest: number[] = [];
    for (let at = 0; at < GRANTS; at += 256) {
      const records = Array.from({ length: 256 }, (_, host) =>
        grantOf(0x0c00_0000 + at + host, now - ((at + host) % 300) * 1_000),
      );
      await say({ kind: 'grant', records });
      if (at % 5_120 !== 0) continue;
      const began = performance.now();
      await ask(two.daemon, { command: 'status' });
      slowest.push(performance.now() - began);
    }
    raw.close();

    // The honest are heard at once all the same.
    const address = fresh();
    const began = performance.now();
    await ask(one.daemon, { command: 'ban', address });
    await two.daemon.waitFor({ event: 'ban.added', source: address, origin: one.name }, LATE);
    const heard = performance.now() - began;
    console.info(
      `against ${GRANTS} grants: status p50 ${percentile(slowest, 50).toFixed(0)} ms, most ${Math.max(...slowest).toFixed(0)} ms; an honest ban after ${heard.toFixed(0)} ms`,
    );
    expect(heard).toBeLessThan(within(SECOND));
    expect(percentile(slowest, 50)).toBeLessThan(SECOND);
    expect(Math.max(...slowest)).toBeLessThan(within(SECOND));
    for (const member of [one, two]) {
      const bans = (await bansOf(member)).filter(({ from }) => from === evil.name);
      const grants = (await grantsOf(member)).filter(({ grantee }) => grantee.startsWith('12.'));
      expect(bans.length).toBeGreaterThan(0);
      expect(bans.length).toBeLessThanOrEqual(BANS_MAX);
      expect(grants.length).toBeGreaterThan(0);
      expect(grants.length).toBeLessThanOrEqual(PER_MINUTE * 6);
      for (const { target } of bans) expect(exempt.slice(1)).not.toContain(target);
      expect((await grantsOf(member)).map(({ grantee }) => grantee)).not.toContain('10.0.0.1');
      expect(await isBanned(member, source)).toBe(false);
      expect(await reaches(member, SERVICES.web)).toBe(true);
      for (const reason of ['limit', 'time'])
        expect(member.daemon.seen({ event: 'fleet.refused', member: evil.name, reason })).not.toEqual([]);
    }
    expect(await isBanned(two, EXEMPT)).toBe(false);
  });
});
