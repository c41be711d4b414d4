import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { hotp, STEP_MS, stepOf } from '../../src/spa/totp.ts';
import { ask } from '../support/asked.ts';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Doors that the digits of an authenticator open, knocked by the knock of knockd and by nc. */

const SERVICE = 22;
const LATE = 10_000;
const QUICK = 150;
/** How long is waited for what must not come. */
const NEVER = 700;
const [ADA, BEN] = [randomBytes(20), randomBytes(20)];

let net: Net;
let daemon: Daemon;
let folder: string;
let keys: string;

const entry = (name: string, secret: Buffer, more = ''): string =>
  `  ${name}-code: { person: ${name}, totp: "base64:${secret.toString('base64')}", doors: [mail]${more} }`;
const writeKeys = (...entries: readonly string[]): void =>
  writeFileSync(keys, `keys:\n${entries.join('\n')}\n`, { mode: 0o600 });
const config = (more: object = {}): object => ({
  keys,
  doors: { mail: { knock: ['7000/tcp', '1????/tcp', '2????/tcp'], opens: [SERVICE], for: '2m' } },
  decoys: ['23/tcp'],
  ...more,
});

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterAll(() => net?.close());
beforeEach(async () => {
  await Promise.all([net.clientA.moveToFreshSource(), net.clientB.moveToFreshSource()]);
  folder = temporaryFolder();
  keys = join(folder, 'keys.yaml');
  writeKeys(entry('ada', ADA), entry('ben', BEN));
});
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  // A daemon that finds rules and no state takes no code of before its start.
  await net.server.exec([...NFKNOCK, 'rules', 'remove', '-c', daemon.config]);
});

const start = async (more: object = {}): Promise<void> => {
  daemon = await net.server.startDaemon(config(more));
};
const again = async (more: object = {}): Promise<void> => {
  daemon = await net.server.startDaemon(config(more), { folder: daemon.folder });
};
const me = (client = net.clientA): string => client.source().v4;
const reaches = (client: Client = net.clientA, timeout = QUICK): Promise<boolean> =>
  client.canConnect(client.server4, SERVICE, timeout);

/** What an authenticator shows, so many steps of 30 s from now. */
const code = (steps = 0, secret = ADA): string => hotp(secret, stepOf(Date.now()) + steps, 8);
/** A code that is nobody's, near or far. */
function wrongCode(): string {
  const now = stepOf(Date.now());
  const all = Array.from({ length: 41 }, (_, index) => index - 20).flatMap((steps) =>
    [ADA, BEN].map((secret) => hotp(secret, now + steps, 8)),
  );
  for (;;) {
    const drawn = String(randomBytes(4).readUInt32BE() % 1e8).padStart(8, '0');
    if (!all.includes(drawn)) return drawn;
  }
}
/** Until the step has so much left that what follows is within it. */
async function withinAStep(ms = 6000): Promise<void> {
  const left = STEP_MS - (Date.now() % STEP_MS);
  if (left < ms) await sleep(left + 50);
}

async function knock(client: Client, digits: string): Promise<void> {
  const ports = ['7000', `1${digits.slice(0, 4)}`, `2${digits.slice(4)}`];
  const { code: ended, stderr } = await client.exec(['knock', '-d', '20', client.server4, ...ports]);
  if (ended !== 0) throw new Error(`knock ended with ${ended}: ${stderr}`);
}
const opened = (): number => daemon.seen({ event: 'door.opened' }).length;
const wrong = (reason: string, client = net.clientA): Promise<unknown> =>
  daemon.waitFor({ event: 'knock.wrong', reason, source: me(client) }, LATE);

describe('a door that takes a one-time code', () => {
  it('opens to the digits of the moment, knocked by knock; log, grants and keys say whose they were', async () => {
    await start();
    expect(await reaches()).toBe(false);
    await knock(net.clientA, code());
    const about = { key: 'ada-code', person: 'ada', source: me(), door: 'mail' };
    await daemon.waitFor({ event: 'door.opened', ...about }, LATE);
    expect(await reaches(net.clientA, LATE)).toBe(true);
    expect(await reaches(net.clientB)).toBe(false);
    expect(await ask(daemon, { command: 'grants' })).toMatchObject([{ key: 'ada-code', person: 'ada' }]);
    expect(await ask(daemon, { command: 'keys' })).toMatchObject([
      { name: 'ada-code', kind: 'totp', used: 1, grants: 1 },
      { name: 'ben-code', used: 0 },
    ]);
  });

  // Against: reads the digits of a code as they are knocked, and knocks them again, at once, later, from elsewhere
  // by: a code opens once, and all before it are used up with it: on the disk before the rule
  it('opens once by a code, and never again by it or an earlier one, wherever it comes from', async () => {
    await start();
    await withinAStep();
    const [used, earlier] = [code(), code(-1)];
    await knock(net.clientA, used);
    await daemon.waitFor({ event: 'door.opened', source: me() }, LATE);
    for (const [client, digits] of [
      [net.clientB, used],
      [net.clientB, earlier],
      [net.clientA, used],
    ] as const) {
      await knock(client, digits);
      await wrong('code used', client);
    }
    expect(await reaches(net.clientB)).toBe(false);
    expect(opened()).toBe(1);
    expect(daemon.seen({ event: 'door.renewed' })).toEqual([]);
    expect(daemon.seen({ event: 'ban.added' })).toEqual([]);
    // The next code of the same person is another.
    await knock(net.clientB, code(1));
    await daemon.waitFor({ event: 'door.opened', source: me(net.clientB), key: 'ada-code' }, LATE);
  });

  // Against: guesses whole codes
  // by: the third wrong one in a day bans for `bans.max`
  it('bans at the third wrong code for the longest time, and says nothing before of any digit', async () => {
    await start({ bans: { max: '3d' } });
    await withinAStep(8000);
    // Whether the first half is right or not, or all of it, all is said alike.
    const right = code();
    const half = `${right.slice(0, 4)}${wrongCode().slice(4)}`;
    for (const [index, digits] of [half, wrongCode()].entries()) {
      await knock(net.clientA, digits);
      const all = { event: 'knock.wrong', reason: 'code wrong' };
      await vi.waitFor(() => expect(daemon.seen(all)).toHaveLength(index + 1), LATE);
    }
    const said = daemon.seen({ source: me() }).map(({ time: _, ...event }) => JSON.stringify(event));
    expect(said.slice(0, said.length / 2)).toEqual(said.slice(said.length / 2));
    expect(daemon.seen({ event: 'ban.added' })).toEqual([]);
    await knock(net.clientA, wrongCode());
    const ban = await daemon.waitFor({ event: 'ban.added', source: me() }, LATE);
    expect(ban).toMatchObject({ reason: 'code', count: 1, strikes: 0 });
    const length = Date.parse(String(ban['until'])) - Date.parse(String(ban['time']));
    expect(Math.round(length / 1000)).toBe(3 * 86_400);
    // A right one opens nothing then; to others it does.
    await knock(net.clientA, right);
    await sleep(NEVER);
    expect(opened()).toBe(0);
    await knock(net.clientB, right);
    await daemon.waitFor({ event: 'door.opened', source: me(net.clientB) }, LATE);
  });

  it('has nothing of a code or a secret in log, explain, status or state, and explains by words', async () => {
    await start();
    await withinAStep();
    const [late, right] = [code(5), code()];
    await knock(net.clientA, late);
    await wrong('code late');
    await knock(net.clientA, right);
    await daemon.waitFor({ event: 'door.opened' }, LATE);
    const explained = await ask(daemon, { command: 'explain', address: me() });
    expect(explained).toMatchObject({
      packets: [
        { port: '7000/tcp', outcome: 'accepted' },
        { port: '1????/tcp', outcome: 'accepted' },
        { port: '2????/tcp', outcome: 'wrong', reason: "its clock is 2 min 30 s ahead of this machine's" },
        { port: '7000/tcp' },
        { port: '1????/tcp' },
        { port: '2????/tcp', outcome: 'accepted', step: 3 },
        { outcome: 'door.opened', key: 'ada-code', person: 'ada' },
      ],
    });
    const told = [
      JSON.stringify(explained),
      JSON.stringify(await ask(daemon, { command: 'status' })),
      JSON.stringify(await ask(daemon, { command: 'keys' })),
      JSON.stringify(daemon.seen({})),
    ].join('\n');
    for (const digits of [late, right]) {
      expect(told).not.toContain(`1${digits.slice(0, 4)}`);
      expect(told).not.toContain(`2${digits.slice(4)}`);
    }
    for (const secret of [ADA, BEN]) expect(told).not.toContain(secret.toString('base64'));
  });

  // Against: a code knocked again after a reload, a restart or kill -9
  // by: the last code's moment is kept with the grant
  it('stays used after a reload, a restart, and kill -9', async () => {
    await start();
    await withinAStep(12_000);
    const used = code();
    await knock(net.clientA, used);
    await daemon.waitFor({ event: 'door.opened', source: me() }, LATE);
    const before = Date.now();
    for (const how of ['reload', 'restart', 'kill'] as const) {
      if (how === 'reload') daemon.signal('SIGHUP');
      else {
        await daemon.stop(how === 'kill' ? 'SIGKILL' : 'SIGTERM');
        await again();
      }
      if (how === 'reload') await daemon.waitFor({ event: 'daemon.reloaded' }, LATE);
      await knock(net.clientB, used);
      await wrong('code used', net.clientB);
      expect(await reaches(net.clientB)).toBe(false);
      expect(await reaches()).toBe(true);
    }
    // All of it while the code was still one of those that are taken.
    expect(Date.now() - before).toBeLessThan(75_000);
  });

  // Against: loses the state, by theft or a broken disk
  // by: codes of before the start are not taken where rules stand and what was used is not known
  it('takes no code of before a start that has lost its state, and the next one then', async () => {
    await start();
    await withinAStep(8000);
    const used = code();
    await knock(net.clientA, used);
    await daemon.waitFor({ event: 'door.opened', source: me() }, LATE);
    await daemon.stop('SIGKILL');
    // A folder of its own: the state is gone, and the rules stand.
    daemon = await net.server.startDaemon(config());
    for (const digits of [used, code(-1, BEN), code(0, BEN)]) {
      await knock(net.clientB, digits);
      await sleep(50);
    }
    await daemon.waitFor({ event: 'knock.wrong', reason: 'code used', key: 'ben-code', step: 3 }, LATE);
    await knock(net.clientB, code(1, BEN));
    await daemon.waitFor({ event: 'door.opened', source: me(net.clientB), key: 'ben-code' }, LATE);
    expect(daemon.seen({ event: 'knock.wrong', reason: 'code used' })).toHaveLength(3);
    expect(opened()).toBe(1);
  });

  it('opens to nobody whose key has been revoked, may not come from there, or has expired', async () => {
    writeKeys(
      entry('ada', ADA, `, from: [${me()}/32], holders: 1, expires: "2099-01-01"`),
      entry('ben', BEN, ', expires: "2020-01-01"'),
    );
    await start();
    await knock(net.clientB, code());
    await daemon.waitFor(
      { event: 'spa.rejected', reason: 'from', key: 'ada-code', source: me(net.clientB) },
      LATE,
    );
    await knock(net.clientB, code(0, BEN));
    await daemon.waitFor({ event: 'spa.rejected', reason: 'expired', key: 'ben-code' }, LATE);
    await knock(net.clientA, code());
    await daemon.waitFor({ event: 'door.opened', source: me() }, LATE);
    await ask(daemon, { command: 'key_revoke', name: 'ada-code' });
    await daemon.waitFor({ event: 'door.closed', reason: 'key', key: 'ada-code' }, LATE);
    await knock(net.clientA, code(1));
    await wrong('code wrong');
    expect(await reaches()).toBe(false);
  });

  it('opens to SYNs of nc, and over IPv6', async () => {
    await start();
    const digits = code();
    for (const port of ['7000', `1${digits.slice(0, 4)}`, `2${digits.slice(4)}`])
      await net.clientA.exec(['nc', '-6', '-z', '-w', '1', net.clientA.server6, port]);
    await daemon.waitFor({ event: 'door.opened', key: 'ada-code' }, LATE);
  });
});
