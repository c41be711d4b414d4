import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { V1Credential } from '../../src/spa/key.ts';
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
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';

/*
 * From a packet of a key to the open port, beside the same from a last knock in the same run: what keys cost more is the
 * proof and the sync of what was used up.
 */

const PROBE = new URL('../support/opening.py', import.meta.url).pathname;
const SERVICE = 22;
const PORT = 62_201;
/** Of each kind in a round; a client has 90 addresses. */
const TRIES = 9;
/**
 * The median of keys at most, in medians of last knocks. A key's opening waits for one write that the disk has taken, which
 * a knock's does not: 1.3 to 1.7 on the machines seen, by their disks. More is a fault of ours. NFKNOCK_RATIO=1.5 asks for
 * what is aimed at.
 */
const RATIO_MAX = Number(process.env['NFKNOCK_RATIO'] ?? 2.5);
/** One of so many rounds must be within it. */
const ROUNDS_MAX = 3;
const KINDS = ['knock', 'secret', 'ed25519'] as const;
type Kind = (typeof KINDS)[number];

let net: Net;
let daemon: Daemon;
const realm = realmOf({ bytes: Buffer.alloc(32, 7), until: null });
const SECRET = randomBytes(32);
const secret: V1Credential = { kind: 'secret', secret: SECRET };
const pair = generateKeyPairSync('ed25519');
const publicKey = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
const ed25519: V1Credential = { kind: 'ed25519', publicKey };
const base64 = (bytes: Uint8Array): string => `"base64:${Buffer.from(bytes).toString('base64')}"`;

function packet(credential: V1Credential): string {
  const inner = innerOf({
    ...{ kind: V1_KIND[credential.kind], seconds: 0, time: Date.now(), address: null },
    ...{ nonce: randomBytes(4).readUInt32BE(), key: keyIdOf(credential), door: doorIdOf('ssh') },
  });
  const message = messageOf(realm, inner);
  const proof =
    credential.kind === 'secret'
      ? secretProof(credential.secret, message)
      : sign(null, message, pair.privateKey);
  return sealV1(realm, inner, proof, randomBytes(16)).toString('hex');
}

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
  const keys = join(temporaryFolder(), 'keys.yaml');
  const limits = `doors: [ssh], rate: { knocks: 1000, per: 1m }`;
  const entries = [
    `  ben: { secret: ${base64(SECRET)}, ${limits} }`,
    `  ada: { ed25519: ${base64(publicKey)}, ${limits} }`,
  ];
  writeFileSync(keys, `realm: ${base64(Buffer.alloc(32, 7))}\nkeys:\n${entries.join('\n')}\n`, {
    mode: 0o600,
  });
  daemon = await net.server.startDaemon(
    {
      listen: { spa: [`${PORT}/udp`] },
      keys,
      doors: { ssh: { knock: [7000, 8000, 9000], opens: [SERVICE], for: '5m' } },
    },
    { timeout: 40_000 },
  );
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});

type Took = Readonly<Record<Kind, number[]>>;

/** Opens the door so many times by each kind, from a source that has not opened before. */
async function round(): Promise<Took> {
  const probe = startProcess(net.clientA.namespace, ['python3', PROBE, net.clientA.server4, `${SERVICE}`]);
  let said = '';
  probe.stdout.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const took: Took = { knock: [], secret: [], ed25519: [] };
  for (let index = 0; index < TRIES * KINDS.length; index += 1) {
    const kind = KINDS[index % KINDS.length] ?? 'knock';
    // Each source opens once: what is measured is opening, not renewing.
    const source = (await net.clientA.moveToFreshSource()).v4;
    // The server learns the address's neighbour before, not while it is measured.
    await net.clientA.exec(['ping', '-c', '1', '-W', '1', '-I', source, net.clientA.server4]);
    const before = said.length;
    probe.stdin.write(`${JSON.stringify({ source, ...stepsOf(kind) })}\n`);
    await expect.poll(() => said.indexOf('\n', before), { timeout: 10_000, interval: 5 }).toBeGreaterThan(0);
    const { took: ms } = JSON.parse(said.slice(before)) as { took: number | null };
    if (ms !== null) took[kind].push(ms);
  }
  probe.kill('SIGKILL');
  for (const kind of KINDS) expect(took[kind].length, kind).toBe(TRIES);
  return took;
}

function stepsOf(kind: Kind): object {
  if (kind === 'knock')
    return {
      first: [
        [7000, 'tcp'],
        [8000, 'tcp'],
      ],
      last: [9000, 'tcp'],
    };
  return { first: [], last: { port: PORT, payload: packet(kind === 'secret' ? secret : ed25519) } };
}

function median(took: readonly number[]): number {
  return [...took].sort((x, y) => x - y)[took.length >> 1] ?? Number.NaN;
}

/** By how much the slower of the kinds of keys is slower than a knock. */
function ratioOf({ knock, secret, ed25519 }: Took): number {
  return Math.max(median(secret), median(ed25519)) / median(knock);
}

it('a packet of a key opens a port later than a last knock by one write that the disk has taken, and no more', {
  timeout: 300_000,
}, async () => {
  const rounds: Took[] = [];
  // Others use the disk too: what is in the way of one round is not in that of all.
  while (rounds.length < ROUNDS_MAX && !rounds.some((took) => ratioOf(took) <= RATIO_MAX))
    rounds.push(await round());
  const figures = rounds
    .map((took) => KINDS.map((kind) => `${kind} ${median(took[kind]).toFixed(2)} ms`).join(', '))
    .join('; ');
  console.info(`median from packet to open port: ${figures}`);
  expect(Math.min(...rounds.map(ratioOf)), figures).toBeLessThanOrEqual(RATIO_MAX);
});
