import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo } from '../support/asked.ts';
import { type Daemon, NFKNOCK, startDaemon, writeConfig } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';
import { acceptRules, announced, expectAgreement, grantOf } from '../support/survival.ts';

/*
 * Killed with -9 at moments that a seed chooses, in the middle of knocks, grants, ends and bans, also while it
 * starts: no ACCEPT rule outlives its time, no newcomer is let in, and after each start the kernel, the state and
 * what the commands say agree. NFKNOCK_LONG=1 makes it 200 times; NFKNOCK_SEED=N repeats a run.
 */

const KILLS = process.env['NFKNOCK_LONG'] === undefined ? 15 : 200;
const SEED = Number(process.env['NFKNOCK_SEED'] ?? 20_261_121);
/** A topology has addresses for so many rounds. */
const ROUNDS_PER_NET = 40;
/** Milliseconds after the beginning of a round in which the daemon is killed. */
const KILL_WITHIN = 150;
/** Milliseconds that a start can be killed in. */
const START_WITHIN = 900;
/** Milliseconds until a daemon must be ready on a machine that is busy with other things. */
const READY_WITHIN = 40_000;
const SERVICE = 22;
const OTHER = 2200;
const QUICK = 100;
/** Milliseconds: a rule ends with the second in which its grant does. */
const GRAIN = 1_000;

/** How long the doors' grants last, in milliseconds. */
const BRIEF = 1_500;
const LONG = 40_000;

const CONFIG = {
  doors: {
    brief: { knock: ['7001/tcp', '7002/udp'], opens: [SERVICE], for: `${BRIEF}ms` },
    long: { knock: ['7101/tcp', '7102/udp'], opens: [OTHER], for: `${LONG}ms` },
  },
  decoys: ['23/tcp', '2323/tcp'],
  bans: { strikes: 2, for: '40s', escalate: 1 },
};

/** Mulberry32: the same numbers for the same seed, from 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe(`a daemon that is killed with -9 at ${KILLS} random moments (seed ${SEED})`, () => {
  const random = randomOf(SEED);
  const nets = Array.from({ length: Math.ceil(KILLS / ROUNDS_PER_NET) }, (_, index) => ({
    name: `net ${index + 1}`,
    kills: Math.min(ROUNDS_PER_NET, KILLS - index * ROUNDS_PER_NET),
  }));

  describe.each(nets)('$name', ({ kills }) => {
    let net: Net;
    let daemon: Daemon;
    const said = announced();
    const known = new Set<string>();
    const takenBack = new Set<string>();
    const { folder, file } = writeConfig(CONFIG);

    beforeAll(async () => {
      net = await createNet();
      for (const port of [SERVICE, OTHER]) await net.server.listen(port);
      daemon = await startDaemon(net.server.namespace, CONFIG, { folder, timeout: READY_WITHIN });
    });
    afterAll(async () => {
      await daemon?.stop('SIGKILL');
      net?.close();
    });

    it.each(Array.from({ length: kills }, (_, round) => round))('kill %i', async (round) => {
      const owner = await net.clientA.moveToFreshSource();
      const offender = net.clientB.source();
      for (const each of [owner.v4, owner.v6, offender.v4, offender.v6Network]) known.add(each);
      const busy = [knockAndKnock(net.clientA), misbehave(net.clientB), byHand(daemon, round)];
      await sleep(random() * KILL_WITHIN);
      await daemon.stop('SIGKILL');
      said.take(daemon.lines);
      await Promise.all(busy);
      // Whether it came to that, nobody was told.
      for (const key of takenBack) said.grants.delete(key);
      takenBack.clear();

      await expectNewcomersStayOut();
      await expectTimelyEnds();
      if (round % 5 === 4) await expectEndWithoutDaemon();
      if (round % 4 === 3) await killWhileStarting();
      daemon = await startDaemon(net.server.namespace, CONFIG, { folder, timeout: READY_WITHIN });
      await expectAgreement(daemon, net.server, said, known);
    });

    /** The long door from one family, the brief one from both, a packet at a time, and the long one again. */
    async function knockAndKnock({ exec, server4, server6 }: Client): Promise<void> {
      for (const [target = '', ...ports] of [
        [server4, '7101', '7102:udp', '7001', '7002:udp'],
        [server6, '7001', '7002:udp', '7101', '7102:udp'],
        [server4, '7101', '7102:udp'],
      ]) {
        await exec(['knock', '-d', '4', target, ...ports]);
      }
    }

    async function misbehave({ exec, server4, server6 }: Client): Promise<void> {
      for (const target of [server4, server6])
        await exec(['knock', '-d', '4', target, '7002:udp', '23', '2323']);
    }

    /** Grants in a burst, some of them taken back at once. Most of these orders are never answered. */
    async function byHand(to: Daemon, round: number): Promise<void> {
      const control = await connectTo(to).catch(() => undefined);
      if (control === undefined) return;
      const asked = Array.from({ length: 40 }, (_, index) => {
        const address = `203.0.113.${(round * 40 + index) % 250}`;
        known.add(address);
        const door = index % 2 === 0 ? 'brief' : 'long';
        const grant = control.ask({ command: 'grant', door, address });
        if (index % 3 > 0) return [grant];
        takenBack.add(grantOf(door, address));
        return [grant, control.ask({ command: 'revoke', address })];
      });
      await Promise.allSettled(asked.flat());
      control.close();
    }

    async function expectNewcomersStayOut(): Promise<void> {
      await net.clientB.moveToFreshSource();
      const { server4, server6, canConnect } = net.clientB;
      const tries = [server4, server6].flatMap((target) =>
        [SERVICE, OTHER].map((port) => [target, port] as const),
      );
      const letIn = await Promise.all(tries.map(([target, port]) => canConnect(target, port, QUICK)));
      expect(letIn).toEqual([false, false, false, false]);
    }

    /** With nobody there the brief door shuts by itself. */
    async function expectEndWithoutDaemon(): Promise<void> {
      const ends = (await acceptRules(net.server)).filter(([key]) => key.startsWith('brief '));
      await sleep(Math.max(...ends.map(([, end]) => end)) + GRAIN + 50 - Date.now());
      for (const target of [net.clientA.server4, net.clientA.server6]) {
        expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      }
    }

    /** No rule has a later end than a grant made just now would have. */
    async function expectTimelyEnds(): Promise<void> {
      for (const [key, end] of await acceptRules(net.server)) {
        const longest = key.startsWith('brief ') ? BRIEF : LONG;
        expect(end, key).toBeLessThanOrEqual(Date.now() + longest);
      }
    }

    async function killWhileStarting(): Promise<void> {
      const argv = [...NFKNOCK, 'run', '-c', file];
      await net.server.exec(argv, { timeout: 100 + random() * START_WITHIN });
      await expectNewcomersStayOut();
      await expectTimelyEnds();
    }
  });
});
