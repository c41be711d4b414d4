import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { measureTurns } from '../support/turns.ts';

/*
 * How long a real daemon, with its state on a real disk and its sets in the kernel, keeps packets waiting at a time while
 * it does what is long.
 */

/** What anything may keep the event loop from packets at a time, in milliseconds of processor time. */
const TURN_MAX = 20;
const SOURCES = 65_536;
const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } },
  decoys: ['23/tcp'],
  bans: { strikes: 1, for: '1h', rate: { packets: 10_000, per: '1s' } },
  memory: { sources: SOURCES },
};
/** Somewhat more or less each time. */
const BANS = Math.round(10_000 * (0.9 + 0.3 * Math.random()));

/** Rules of another program. */
const FOREIGN = 8_000 + Math.round(6_000 * Math.random());

/** How long a turn may last meanwhile, with what is collected. */
const FOREIGN_MAX = 60;

/** As many that to move them takes a while. */
const MANY = 30_000;

let net: Net;
let daemon: Daemon;
let flood: string;
const turns = measureTurns('turns');

beforeAll(async () => {
  net = await createNet();
  flood = buildFlood();
  daemon = await net.server.startDaemon(CONFIG, { env: turns.env });
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  turns.close();
  net?.close();
});

/** The longest turn of the daemon's event loop while something is done, but for those with a collection of garbage. */
async function longestTurn(act: () => Promise<unknown>): Promise<number> {
  const longest = await turns.during(daemon, act);
  console.info(
    longest
      .slice(0, 8)
      .map((turn) => `${turn.worked.toFixed(1)}/${turn.stood.toFixed(1)}${turn.collected ? ' (gc)' : ''}`)
      .join(', '),
  );
  return Math.max(0, ...longest.filter(({ collected }) => !collected).map(({ worked }) => worked));
}

const sizes = async (): Promise<{ bans: number }> => {
  const answer = await nfknock(net.server, daemon, 'status', '--json');
  return JSON.parse(answer.stdout);
};

/** So many sources, each with a touch of a decoy or a first knock of its own. */
async function strangers(port: string, count: number, seed: number): Promise<void> {
  await net.clientB.exec([
    ...[flood, '-d', net.clientB.server4, '-p', port, '-s', '10.0.0.0/8', '-e', `${seed}`],
    ...['-n', `${count}`, '-r', '20000', '-t', '30'],
  ]);
}

describe('no turn of the event loop is long', () => {
  it(`while ${BANS} bans are lifted at once`, { timeout: 240_000 }, async () => {
    let best = Number.POSITIVE_INFINITY;
    // Of several tries the best: the first compiles.
    for (let attempt = 0; attempt < 8 && best >= TURN_MAX; attempt += 1) {
      await strangers('23', BANS, attempt + 1);
      await vi.waitFor(async () => expect((await sizes()).bans).toBeGreaterThan(0.9 * BANS), {
        timeout: 20_000,
      });
      const turn = await longestTurn(() => nfknock(net.server, daemon, 'unban', '--all'));
      expect((await sizes()).bans).toBe(0);
      best = Math.min(best, turn);
    }
    expect(best).toBeLessThan(TURN_MAX);
  });

  /** A limit that is another each time, of which the table of bans has to be made anew. */
  const limits: readonly (readonly [string, (attempt: number) => number])[] = [
    ['more', (attempt) => 262_144 + Math.round(10_000 * Math.random()) + attempt],
    ['fewer', (attempt) => MANY - Math.round(2000 * Math.random()) - 3000 * (attempt + 1)],
  ];
  it.each(limits)('while a reload makes room for %s bans', { timeout: 240_000 }, async (_, limitOf) => {
    let best = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 6 && best >= TURN_MAX; attempt += 1) {
      daemon.rewrite(CONFIG);
      await nfknock(net.server, daemon, 'reload');
      await strangers('23', MANY + BANS, Math.ceil(Math.random() * 1000));
      await vi.waitFor(async () => expect((await sizes()).bans).toBeGreaterThan(0.9 * MANY), {
        timeout: 30_000,
      });
      const before = (await sizes()).bans;
      const limit = limitOf(attempt);
      daemon.rewrite({ ...CONFIG, bans: { ...CONFIG.bans, limit } });
      const turn = await longestTurn(() => nfknock(net.server, daemon, 'reload'));
      expect((await sizes()).bans).toBe(Math.min(before, limit));
      best = Math.min(best, turn);
    }
    // It goes on after whoever asked has given up.
    await vi.waitFor(
      async () => {
        await nfknock(net.server, daemon, 'unban', '--all');
        expect((await sizes()).bans).toBe(0);
      },
      { timeout: 120_000, interval: 1000 },
    );
    expect(best).toBeLessThan(TURN_MAX);
  });

  /** What changes at the reload; other values each time. */
  const changes: readonly (readonly [string, (attempt: number) => object])[] = [
    ['other decoys', (attempt) => ({ decoys: ['23/tcp', `${1000 + attempt}/tcp`] })],
    [
      'more or less memory.sources',
      (attempt) => ({ memory: { sources: SOURCES + (attempt % 2 === 0 ? 9 : -9) } }),
    ],
    ['more bans.strikes', (attempt) => ({ bans: { ...CONFIG.bans, strikes: 2 + attempt } })],
  ];
  // Against: a reload, or `unban --all`, while an attacker has filled the tables
  // by: attempts are moved when their source is next heard of, and a few at a time; bans are lifted a few at a time
  it.each(changes)(
    `while a reload with %s takes tables of ${SOURCES} sources over`,
    { timeout: 240_000 },
    async (_, changed) => {
      await strangers('7000', 2 * SOURCES, Math.ceil(Math.random() * 1000));
      let best = Number.POSITIVE_INFINITY;
      for (let attempt = 0; attempt < 8 && best >= TURN_MAX; attempt += 1) {
        daemon.rewrite({ ...CONFIG, ...changed(attempt) });
        best = Math.min(best, await longestTurn(() => nfknock(net.server, daemon, 'reload')));
      }
      expect(best).toBeLessThan(TURN_MAX);
    },
  );

  // Against: the daemon kept busy by another program's many rules of nftables
  // by: they are looked at in pieces, and those that decide nothing once
  it(`while it looks at ${FOREIGN} rules of another program that drops what they do not accept`, {
    timeout: 240_000,
  }, async () => {
    const rule = (index: number): string =>
      index % 2 === 0
        ? `ip saddr 203.0.113.${index % 250} tcp dport ${1 + (index % 60_000)} drop`
        : `tcp dport ${10_000 + (index % 50_000)} accept`;
    const rules = Array.from({ length: FOREIGN }, (_, index) => rule(index)).join('\n');
    const chain = `type filter hook input priority -10; policy drop;\n${rules}`;
    const input = `table inet other {\nchain guard {\n${chain}\n}\n}\n`;
    const isSaid = async (): Promise<boolean> =>
      (await nfknock(net.server, daemon, 'status', '--json')).stdout.includes('inet other guard');
    const reloaded = async (said: boolean): Promise<void> => {
      await nfknock(net.server, daemon, 'reload');
      await expect.poll(isSaid, { timeout: 30_000 }).toBe(said);
    };
    let best = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5 && best >= FOREIGN_MAX; attempt += 1) {
      expect((await net.server.exec(['nft', '-f', '-'], { input })).stderr).toBe('');
      // What the answers leave behind to collect is their price too.
      const [longest] = await turns.during(daemon, () => reloaded(true));
      best = Math.min(best, longest?.worked ?? 0);
      console.info(`${FOREIGN} rules: ${best.toFixed(1)} ms`);
      await net.server.exec(['nft', 'delete', 'table', 'inet', 'other']);
      await reloaded(false);
    }
    expect(best).toBeLessThan(FOREIGN_MAX);
  });
});
