import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { hotp, stepOf } from '../../src/spa/totp.ts';
import { ask } from '../support/asked.ts';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { died, killAt, killBeforeRule, killOnceInForce, stopTools } from '../support/keys-crash-lab.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/*
 * Killed with -9 at each step on the way of a code: knocked whole, written, synced, in force, announced. What was on the disk
 * opens nothing again, and what it opened is there; what was not has opened nothing.
 */

const SERVICE = 22;
const LATE = 15_000;
const QUICK = 150;
/** Milliseconds until a daemon must be ready on a machine that is busy with other things. */
const READY_WITHIN = 40_000;
const SECRET = randomBytes(20);

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let net: Net;
let keys: string;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterAll(() => net?.close());
beforeEach(async () => {
  await Promise.all([net.clientA.moveToFreshSource(), net.clientB.moveToFreshSource()]);
  keys = join(temporaryFolder(), 'keys.yaml');
  const entry = `ben: { person: ben, totp: "base64:${SECRET.toString('base64')}", doors: [ssh] }`;
  writeFileSync(keys, `keys:\n  ${entry}\n`, { mode: 0o600 });
  daemon = await net.server.startDaemon(config(), { timeout: READY_WITHIN });
});
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  // A daemon that finds rules and no state takes no code of before its start.
  await net.server.exec([...NFKNOCK, 'rules', 'remove', '-c', daemon.config]);
});

const config = (): object => ({
  keys,
  doors: {
    ssh: {
      ...{ knock: ['7000/tcp', '1????/tcp', '2????/tcp'], opens: [SERVICE], for: '2m' },
      // A start on a busy machine takes its time, and what was used must still be known as such after it.
      code_steps: { back: 6, ahead: 1 },
    },
  },
});
const again = async (): Promise<void> => {
  daemon = await net.server.startDaemon(config(), { folder: daemon.folder, timeout: READY_WITHIN });
};
const reaches = (client = net.clientA, timeout = QUICK): Promise<boolean> =>
  client.canConnect(client.server4, SERVICE, timeout);
const opened = (): number => daemon.seen({ event: 'door.opened' }).length;
const grants = async (): Promise<number> =>
  ((await ask(daemon, { command: 'grants' })) as readonly unknown[]).length;

const codeAt = (step: number): string => hotp(SECRET, step, 8);
async function knock(digits: string, client = net.clientA): Promise<void> {
  const ports = ['7000', `1${digits.slice(0, 4)}`, `2${digits.slice(4)}`];
  await client.exec(['knock', '-d', '20', client.server4, ...ports]);
}
/** The first two knocks; the last is what the daemon is killed at. */
async function begin(digits: string): Promise<void> {
  await net.clientA.exec(['knock', '-d', '20', net.clientA.server4, '7000', `1${digits.slice(0, 4)}`]);
  await daemon.waitFor({ event: 'knock.accepted', step: 2 }, LATE);
}
const end = async (digits: string): Promise<void> => {
  await net.clientA.exec(['knock', net.clientA.server4, `2${digits.slice(4)}`]);
};

/** The same code again, of the daemon that came after and from elsewhere: it opens nothing. */
async function isUsed(digits: string): Promise<void> {
  await knock(digits, net.clientB);
  await daemon.waitFor({ event: 'knock.wrong', reason: 'code used', source: net.clientB.source().v4 }, LATE);
  expect(opened()).toBe(0);
  expect(await reaches(net.clientB)).toBe(false);
}

/** A later code opens. */
async function isAnswered(after: number): Promise<void> {
  await knock(codeAt(Math.max(after + 1, stepOf(Date.now()))), net.clientB);
  await daemon.waitFor({ event: 'door.opened', source: net.clientB.source().v4, key: 'ben' }, LATE);
}

describe('a daemon killed with -9', () => {
  it('before what a code uses up is written has opened nothing, and the code opens once', async () => {
    const digits = codeAt(stepOf(Date.now()));
    await begin(digits);
    await killAt(daemon, 'pwrite64');
    await end(digits);
    await died(daemon);
    expect(opened()).toBe(0);
    expect(await reaches()).toBe(false);
    await again();
    expect(await grants()).toBe(0);
    await knock(digits);
    await daemon.waitFor({ event: 'door.opened', key: 'ben', source: net.clientA.source().v4 }, LATE);
    await knock(digits, net.clientB);
    await daemon.waitFor({ event: 'knock.wrong', reason: 'code used' }, LATE);
    expect(opened()).toBe(1);
  });

  // Against: kills the daemon at any step on the way of a code
  // by: what was used up is written with the grant and synced before the rule
  it('after a code was written and before it was synced has announced nothing; grant and use are there', async () => {
    const step = stepOf(Date.now());
    await begin(codeAt(step));
    await killAt(daemon, 'fdatasync,fsync');
    await end(codeAt(step));
    await died(daemon);
    expect(opened()).toBe(0);
    expect(await reaches()).toBe(false);
    await again();
    expect(await grants()).toBe(1);
    await isUsed(codeAt(step));
    await isAnswered(step);
  });

  it('after a code was synced and before the rule has announced nothing; grant and use are there', async () => {
    const step = stepOf(Date.now());
    const stopped = await stopTools(daemon);
    await knock(codeAt(step));
    await stopped.isTold();
    expect(await reaches()).toBe(false);
    killBeforeRule(daemon, stopped);
    await died(daemon);
    expect(opened()).toBe(0);
    await again();
    expect(await grants()).toBe(1);
    expect(await reaches(net.clientA, LATE)).toBe(true);
    await isUsed(codeAt(step));
  });

  it('after the rule was in force and before that was announced keeps both', async () => {
    const step = stepOf(Date.now());
    const stopped = await stopTools(daemon);
    await knock(codeAt(step));
    await stopped.isTold();
    await killOnceInForce(daemon, stopped, () => reaches());
    await died(daemon);
    expect(opened()).toBe(0);
    await again();
    expect(await grants()).toBe(1);
    await isUsed(codeAt(step));
    expect(await reaches(net.clientA, LATE)).toBe(true);
  });

  it('after it was announced loses nothing of it', async () => {
    const step = stepOf(Date.now());
    await knock(codeAt(step));
    await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
    await daemon.stop('SIGKILL');
    expect(await reaches(net.clientA, LATE)).toBe(true);
    await again();
    expect(await grants()).toBe(1);
    await isUsed(codeAt(step));
  });

  it('and robbed of its state believes no code of before its start', async () => {
    const step = stepOf(Date.now());
    await knock(codeAt(step));
    await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
    await daemon.stop('SIGKILL');
    for (const ending of ['', '-wal', '-shm'])
      rmSync(join(daemon.folder, `state.db${ending}`), { force: true });
    await again();
    await isUsed(codeAt(step));
  });
});
