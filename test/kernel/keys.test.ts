import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseAddress } from '../../src/packet/address.ts';
import {
  doorIdOf,
  innerOf,
  keyIdOf,
  messageOf,
  realmOf,
  sealV1,
  secretProof,
  V1_KIND,
} from '../../src/spa/v1.ts';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Doors that a key opens: the real fwknop client, and nfknock's own packet. */

const SERVICE = 22;
const PORT = 62_201;
const LATE = 10_000;
const QUICK = 150;
/** How long is waited for what must not come. */
const NEVER = 700;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const KEY = base64(randomBytes(32));
const HMAC = base64(randomBytes(32));
const SECRET = randomBytes(32);
const REALM = randomBytes(32);

let net: Net;
let daemon: Daemon;
let folder: string;
let keys: string;

const ADA = `ada-phone: { person: ada, fwknop: { key: "base64:${KEY}", hmac: "base64:${HMAC}" }, doors: [ssh], for_max: 5m }`;
const BEN = `ben: { person: ben, secret: "base64:${base64(SECRET)}", doors: [ssh], address: optional }`;
const writeKeys = (...entries: readonly string[]): void => {
  const lines = entries.map((entry) => `  ${entry}`).join('\n');
  writeFileSync(keys, `realm: "base64:${base64(REALM)}"\nkeys:\n${lines}\n`, { mode: 0o600 });
};
const config = (more: object = {}): object => ({
  listen: { spa: [`${PORT}/udp`] },
  keys,
  doors: { ssh: { knock: 'spa', opens: [SERVICE], for: '2m' } },
  bans: { strikes: 2, within: '60s', for: '60s' },
  decoys: ['23/tcp', '2323/tcp'],
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
  writeKeys(ADA, BEN);
});
afterEach(() => daemon?.stop('SIGKILL'));

const start = async (more: object = {}): Promise<void> => {
  daemon = await net.server.startDaemon(config(more));
};
const again = async (): Promise<void> => {
  daemon = await net.server.startDaemon(config(), { folder: daemon.folder });
};
const me = (client = net.clientA): string => client.source().v4;
const reaches = (client: Client = net.clientA, timeout = QUICK): Promise<boolean> =>
  client.canConnect(client.server4, SERVICE, timeout);

/** Sends a packet of fwknop's client; answers with its bytes. */
async function fwknop(client: Client, ...more: readonly string[]): Promise<string> {
  const file = join(folder, `packet-${Math.random()}`);
  const to = ['-D', client.server4, '-p', `${PORT}`, '--no-rc-file', '--no-save-args', '--save-packet', file];
  const secrets = ['--key-base64-rijndael', KEY, '--use-hmac', '--key-base64-hmac', HMAC];
  const args = more.includes('-A') ? more : ['-A', `tcp/${SERVICE}`, ...more];
  const who = args.some((arg) => arg === '-a' || arg === '-s') ? [] : ['-a', me(client)];
  const { code, stderr } = await client.exec([
    'env',
    `HOME=${folder}`,
    'fwknop',
    ...args,
    ...who,
    ...to,
    ...secrets,
  ]);
  if (code !== 0) throw new Error(`fwknop ended with ${code}: ${stderr}`);
  const text = readFileSync(file, 'latin1').trim();
  rmSync(file);
  return text;
}

/** Sends these bytes as one datagram. */
async function send(client: Client, payload: Uint8Array | string, target = client.server4): Promise<void> {
  const file = join(folder, `datagram-${Math.random()}`);
  writeFileSync(file, payload, 'latin1');
  await client.exec(['bash', '-c', `cat ${file} > /dev/udp/${target}/${PORT}`]);
  rmSync(file);
}

/** nfknock's own packet, of ben. */
function own(address: string | null, more: { time?: number; door?: string } = {}): Buffer {
  const realm = realmOf({ bytes: REALM, until: null });
  const inner = innerOf({
    ...{
      kind: V1_KIND.secret,
      seconds: 0,
      time: more.time ?? Date.now(),
      nonce: randomBytes(4).readUInt32BE(),
    },
    key: keyIdOf({ kind: 'secret', secret: SECRET }),
    door: doorIdOf(more.door ?? 'ssh'),
    address: address === null ? null : (parseAddress(address) ?? null),
  });
  return sealV1(realm, inner, secretProof(SECRET, messageOf(realm, inner)), randomBytes(16));
}

const accepted = (client = net.clientA): Promise<unknown> =>
  daemon.waitFor({ event: 'door.opened', door: 'ssh', source: me(client) }, LATE);
const rejected = (reason: string): Promise<unknown> =>
  daemon.waitFor({ event: 'spa.rejected', reason }, LATE);
const opened = (): number => daemon.seen({ event: 'door.opened' }).length;

describe('a door that opens by key', () => {
  it('opens to the fwknop client of the key, and to nobody else; grants, log and hooks say whose it was', async () => {
    await start();
    expect(await reaches()).toBe(false);
    await fwknop(net.clientA);
    await accepted();
    expect(await reaches(net.clientA, LATE)).toBe(true);
    expect(await reaches(net.clientB)).toBe(false);
    const about = { key: 'ada-phone', person: 'ada' };
    expect(daemon.seen({ event: 'spa.accepted' })).toMatchObject([
      { ...about, source: me(), door: 'ssh', port: `${PORT}/udp` },
    ]);
    expect(daemon.seen({ event: 'door.opened' })).toMatchObject([about]);
    expect(await ask(daemon, { command: 'grants' })).toMatchObject([{ ...about, door: 'ssh' }]);
    expect(await ask(daemon, { command: 'keys' })).toMatchObject([
      { name: 'ada-phone', kind: 'fwknop', used: 1, grants: 1 },
      { name: 'ben', kind: 'secret', used: 0, grants: 0, last_used: null },
    ]);
  });

  it('opens to nfknock’s own packet over IPv4 and IPv6, for the address that it names or comes from', async () => {
    await start();
    await send(net.clientA, own(null));
    await accepted();
    expect(await reaches(net.clientA, LATE)).toBe(true);
    await send(net.clientB, own(net.clientB.source().v6), net.clientB.server6);
    await daemon.waitFor({ event: 'door.opened', source: net.clientB.source().v6, key: 'ben' }, LATE);
    expect(await net.clientB.canConnect(net.clientB.server6, SERVICE, LATE)).toBe(true);
    expect(await reaches(net.clientB)).toBe(false);
  });

  // Against: reads a packet of a key and sends it again, from anywhere, edited, after a reload, a restart or kill -9
  // by: it is used once: what was used is on the disk before the rule; from another host it is a strike
  it('does not open twice by one packet: from its host, from another, edited, after reload, restart and kill', async () => {
    await start();
    const packet = await fwknop(net.clientA, '-s');
    const ours = own(null);
    await accepted();
    await send(net.clientA, ours);
    await daemon.waitFor({ event: 'spa.accepted', key: 'ben' }, LATE);
    const replay = async (client: Client): Promise<void> => {
      const before = daemon.seen({ event: 'spa.rejected' }).length;
      for (const each of [packet, ours]) await send(client, each);
      for (let waited = 0; daemon.seen({ event: 'spa.rejected' }).length < before + 2; waited += 20) {
        if (waited > LATE) throw new Error('the replay was not noticed');
        await sleep(20);
      }
      for (const each of daemon.seen({ event: 'spa.rejected' }).slice(before))
        expect(each).toMatchObject({ reason: 'replayed' });
    };
    await replay(net.clientA);
    await replay(net.clientB);
    // From another host it is an offence.
    expect(daemon.seen({ event: 'spa.rejected', source: me(net.clientB) }).at(-1)).toMatchObject({
      strikes: 2,
    });
    await daemon.waitFor({ event: 'ban.added', source: me(net.clientB) }, LATE);
    for (const edited of [`${packet}=`, `${packet}=AAAA`, `${packet.slice(0, -1)}/`, `V${packet.slice(1)}`])
      await send(net.clientB, edited);
    await daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'daemon.reloaded' }, LATE);
    await replay(net.clientA);
    expect((await daemon.stop('SIGTERM')).code).toBe(0);
    await again();
    await replay(net.clientA);
    await daemon.stop('SIGKILL');
    await again();
    await replay(net.clientA);
    expect(opened()).toBe(0);
    expect(await reaches(net.clientB)).toBe(false);
    // A new one opens.
    await ask(daemon, { command: 'revoke', address: me() });
    await fwknop(net.clientA);
    await accepted();
  });

  it('keeps a grant that it has announced over kill -9, with its key', async () => {
    await start();
    await fwknop(net.clientA);
    await daemon.waitFor({ event: 'spa.accepted' }, LATE);
    await accepted();
    await daemon.stop('SIGKILL');
    await again();
    expect(await ask(daemon, { command: 'grants' })).toMatchObject([{ key: 'ada-phone', person: 'ada' }]);
    expect(await ask(daemon, { command: 'keys' })).toMatchObject([
      { name: 'ada-phone', used: 1, grants: 1 },
      {},
    ]);
  });

  it('says of a clock that is off how far', async () => {
    await start();
    await send(net.clientA, own(null, { time: Date.now() - (4 * 60 + 5) * 60_000 }));
    expect(await rejected('stale')).toMatchObject({ detail: "its clock is 4 h 5 min behind this machine's" });
    await send(net.clientA, own(null, { time: Date.now() + 65_500 }));
    await daemon.waitFor(
      { event: 'spa.rejected', detail: "its clock is 1 min 5 s ahead of this machine's" },
      LATE,
    );
    await send(net.clientA, own(null, { time: Date.now() + 45_000 }));
    await accepted();
  });

  it('does not open by another door’s name, a command, another port, or a packet of nobody', async () => {
    await start({ log: { level: 'debug' } });
    await send(net.clientA, own(null, { door: 'web' }));
    await rejected('door');
    await fwknop(net.clientA, '-A', 'tcp/25');
    await rejected('ports');
    await send(net.clientA, randomBytes(144));
    await daemon.waitFor({ event: 'spa.unauthenticated', port: `${PORT}/udp`, count: 1 }, LATE);
    await sleep(NEVER);
    expect(opened()).toBe(0);
    // Another's ban of an earlier test may still be in the kernel.
    expect(daemon.seen({ event: 'ban.added' })).toEqual([]);
  });

  // Against: has an owner banned by packets in his name
  // by: keys come before the bans, and lift one of strikes; a ban by hand stays
  it('opens for its owner whom a forger had banned, and lifts that ban; not whom somebody banned by hand', async () => {
    await start();
    for (const port of [23, 2323]) await net.clientA.canConnect(net.clientA.server4, port, QUICK);
    await daemon.waitFor({ event: 'ban.added', source: me() }, LATE);
    await fwknop(net.clientA);
    await daemon.waitFor({ event: 'ban.lifted', reason: 'key', source: `${me()}` }, LATE).catch(async () => {
      await daemon.waitFor({ event: 'ban.lifted', reason: 'key' }, LATE);
    });
    await accepted();
    expect(await reaches(net.clientA, LATE)).toBe(true);
    await ask(daemon, { command: 'revoke', address: me() });
    await ask(daemon, { command: 'ban', address: me() });
    await fwknop(net.clientA);
    await rejected('banned');
    expect(await reaches()).toBe(false);
    await daemon.stop('SIGKILL');
    await again();
    await fwknop(net.clientA);
    await rejected('banned');
  });

  // Against: steals a key
  // by: `key_revoke`, or a reload without it, ends its grants at once
  it('closes at once where its key is revoked, or gone from the file at a reload', async () => {
    await start();
    await fwknop(net.clientA);
    await accepted();
    await send(net.clientB, own(null));
    await accepted(net.clientB);
    writeKeys(ADA);
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'door.closed', reason: 'key', source: me(net.clientB) }, LATE);
    await daemon.waitFor({ event: 'key.revoked', key: 'ben', person: 'ben' }, LATE);
    expect(await ask(daemon, { command: 'key_revoke', name: 'ada-phone' })).toEqual({ changed: 1 });
    expect(await ask(daemon, { command: 'grants' })).toEqual([]);
    expect(await reaches()).toBe(false);
    await fwknop(net.clientA);
    await sleep(NEVER);
    expect(opened()).toBe(2);
    writeKeys(ADA, BEN);
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'key.added', key: 'ada-phone' }, LATE);
    await fwknop(net.clientA);
    await sleep(NEVER);
    expect(await reaches(net.clientA, LATE)).toBe(true);
  });

  // Against: looks for secrets in log, status, explain and answers
  // by: none is said anywhere; a key file that others can read is refused
  it('says none of its secrets anywhere, and does not start where others could read them', async () => {
    await start({ log: { level: 'debug' } });
    await fwknop(net.clientA);
    await accepted();
    const answers = await Promise.all(
      (['status', 'keys', 'grants', 'reload'] as const).map((command) => ask(daemon, { command })),
    );
    const said = JSON.stringify([
      daemon.lines,
      daemon.noise,
      answers,
      await ask(daemon, { command: 'explain', address: me() }),
    ]);
    for (const secret of [KEY, HMAC, base64(SECRET), base64(REALM)]) expect(said).not.toContain(secret);
    await daemon.stop('SIGTERM');
    writeFileSync(keys, readFileSync(keys));
    await net.server.exec(['chmod', '0644', keys]);
    await expect(again()).rejects.toThrow(/can be read or changed by others \(0644\).*chmod 0600/s);
  });
});
