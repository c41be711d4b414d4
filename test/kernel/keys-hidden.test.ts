import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Explanation } from '../../src/control/answers.ts';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { KEYS_PORT, type KeysLab, keysLab } from '../support/keys-lab.ts';
import { createNet, type Net } from '../support/net.ts';

/*
 * Who has no key can't tell the keys' port from its neighbours: nmap gets the same of a hundred ports round it, with
 * datagrams of every length that matters, and each is an offence, or none, as the others are.
 */

const LATE = 15_000;
const FIRST = KEYS_PORT - 50;
const LAST = KEYS_PORT + 49;
/** Lengths of payloads: none, nfknock's own, of fwknop's, and longer than any. */
const LENGTHS = [0, 144, 204, 1_000];

let net: Net;
let lab: KeysLab;
let daemon: Daemon | undefined;

beforeAll(async () => {
  net = await createNet();
  // Else ICMP of closed ports would come once a second to a source, and of fifty at once (nmap sends in bursts when the
  // machine is busy) the rest would not come at all. The two later ones are the machine's own before Linux 6.13.
  await net.server.exec(['sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0']);
  for (const [name, value] of Object.entries({ icmp_msgs_burst: 10_000, icmp_msgs_per_sec: 100_000 }))
    await net.server.exec(['sysctl', '-qw', `net.ipv4.${name}=${value}`]);
  lab = keysLab();
});
afterAll(() => net?.close());
beforeEach(async () => {
  await net.clientA.moveToFreshSource();
});
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  for (const tool of ['iptables', 'ip6tables']) await net.server.exec([tool, '-P', 'INPUT', 'ACCEPT']);
});

/** What nmap makes of each port. */
async function scan(length: number): Promise<ReadonlyMap<number, string>> {
  const { stdout } = await net.clientA.exec([
    ...['nmap', '-n', '-Pn', '-sU', '--max-retries', '3', '--min-rate', '400', '--max-rtt-timeout', '500ms'],
    ...['--data-length', `${length}`, '-p', `${FIRST}-${LAST}`, '-oG', '-', net.clientA.server4],
  ]);
  const ports = [...stdout.matchAll(/(\d+)\/([a-z|]+)\/udp/g)];
  const rest = /Ignored State: (\S+) /.exec(stdout)?.[1] ?? '';
  const found = new Map(ports.map(([, port, state = '']) => [Number(port), state]));
  for (let port = FIRST; port <= LAST; port += 1) if (!found.has(port)) found.set(port, rest);
  return found;
}

/** What the first packet to each port came to; the log leaves lines of a flood out. */
async function outcomes(): Promise<ReadonlyMap<string, string>> {
  if (daemon === undefined) return new Map();
  const { packets } = (await ask(daemon, {
    command: 'explain',
    address: net.clientA.source().v4,
  })) as Explanation;
  const found = new Map<string, string>();
  for (const { port, outcome } of packets) if (port !== null && !found.has(port)) found.set(port, outcome);
  return found;
}

/** Strikes of the source that scans. */
async function strikes(): Promise<number> {
  if (daemon === undefined) return Number.NaN;
  const explanation = await ask(daemon, { command: 'explain', address: net.clientA.source().v4 });
  return (explanation as Explanation).strikes;
}

const BASE = {
  memory: { sources: 1024 },
  doors: { ssh: { knock: 'spa', opens: [22], for: '2m' } },
  bans: { strikes: 1_000, within: '10m', rate: { packets: 10_000, per: '1s' } },
  log: { level: 'debug' },
};
const spa = [`${KEYS_PORT}/udp`];

// Against: scans for the keys' port, with datagrams of every length
// by: what no key proves is what the port would be without keys
it.each([
  ['decoys: all', { decoys: 'all', listen: { spa } }, 'ACCEPT'],
  ['a few decoys under policy DROP', { decoys: ['23/tcp'], listen: { spa } }, 'DROP'],
  ['answer: closed', { decoys: ['23/tcp'], listen: { spa, source: 'nflog' }, answer: 'closed' }, 'ACCEPT'],
  [
    'answer: closed and decoys: all',
    { decoys: 'all', listen: { spa, source: 'nflog' }, answer: 'closed' },
    'ACCEPT',
  ],
] as const)(
  'the keys’ port is what its neighbours are, with %s',
  { timeout: 150_000 },
  async (_, more, policy) => {
    for (const tool of ['iptables', 'ip6tables']) await net.server.exec([tool, '-P', 'INPUT', policy]);
    daemon = await net.server.startDaemon({ ...BASE, ...more, keys: lab.file }, { timeout: 40_000 });
    for (const length of LENGTHS) {
      const found = await scan(length);
      expect(new Set(found.values()).size, `states with ${length} bytes: ${found.get(KEYS_PORT)}`).toBe(1);
      if (more.decoys === 'all') {
        await expect.poll(async () => (await outcomes()).size, { timeout: LATE }).toBe(LAST - FIRST + 1);
        expect(new Set((await outcomes()).values())).toEqual(new Set(['decoy']));
        expect(await strikes()).toBe(LAST - FIRST + 1);
      } else expect(await strikes()).toBe(0);
      // One touch of a source is one offence for a while.
      await net.clientA.moveToFreshSource();
    }
    // Packets of a key's length were looked into.
    await expect
      .poll(() => daemon?.seen({ event: 'spa.unauthenticated' }).length, { timeout: LATE })
      .toBeGreaterThan(0);
  },
);
