import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Client, createNet, type Net } from '../support/net.ts';
import {
  clearRules,
  exampleConf,
  imported,
  layGuideRules,
  reaches,
  scratchFolder,
  sh,
  startKnockd,
} from './peers-knockd.ts';

/*
 * The five configurations that stand in every guide, each run twice: by knockd, with the iptables commands that
 * are in it, and by nfknock, with what `nfknock import` makes of it. The same clients knock; who got in is compared.
 */

type Family = 4 | 6;

/** What one who comes from an address of his own does, and where he then gets in. */
interface Story {
  readonly who: string;
  /** Arguments of one call of `knock`, of nmap, or milliseconds to wait. */
  readonly does: readonly (readonly string[] | number)[];
  readonly opens: readonly number[];
  /** Where the two differ, and docs/peers.md says why: what knockd opens. */
  readonly knockdOpens?: readonly number[];
  readonly family?: Family;
}

interface Example {
  readonly name: string;
  readonly file: string;
  readonly services: readonly number[];
  readonly oneTime?: readonly string[];
  readonly stories: readonly Story[];
}

/** Milliseconds: most of it is waiting, side by side, but a machine can be busy. */
const TIMEOUT = 240_000;
const SEQUENCES = '/etc/knockd/smtp_sequences';

const RIGHT = ['7000', '8000', '9000'];
const CLOSING = ['9000', '8000', '7000'];
const MIXED = ['2222:udp', '3333', '4444:udp'];

const EXAMPLES: readonly Example[] = [
  {
    name: 'the pair that opens and closes',
    file: 'open-close.conf',
    services: [22],
    stories: [
      { who: 'one who does not knock', does: [], opens: [] },
      { who: 'one who knocks rightly', does: [RIGHT], opens: [22] },
      {
        who: 'one who knocks rightly with pauses',
        does: [['-d', '400', ...RIGHT]],
        opens: [22],
      },
      { who: 'one who knocks in another order', does: [['7000', '9000', '8000']], opens: [] },
      { who: 'one who leaves the last knock out', does: [['7000', '8000']], opens: [] },
      { who: 'one who leaves the first knock out', does: [['8000', '9000']], opens: [] },
      { who: 'one who takes another protocol', does: [['7000', '8000:udp', '9000']], opens: [] },
      { who: 'one who begins again after a wrong order', does: [['7000', '9000'], RIGHT], opens: [22] },
      { who: 'one who takes longer than 5 s', does: [['7000', '8000'], 6_200, ['9000']], opens: [] },
      { who: 'one who closes behind himself', does: [RIGHT, 5_200, CLOSING, 1_000], opens: [] },
      { who: 'one who knocks to close before he has opened', does: [CLOSING], opens: [] },
      { who: 'one who closes at once', does: [RIGHT, 1_000, CLOSING, 1_000], opens: [22], knockdOpens: [] },
      { who: 'one who knocks over IPv6', does: [RIGHT], opens: [22], knockdOpens: [], family: 6 },
    ],
  },
  {
    name: 'the pair of commands, with two ports and a time limit',
    file: 'start-stop.conf',
    services: [22, 80],
    stories: [
      { who: 'one who knocks rightly', does: [MIXED], opens: [22, 80] },
      { who: 'one who knocks on TCP alone', does: [['2222', '3333', '4444']], opens: [] },
      { who: 'one who comes after the 5 s', does: [MIXED, 6_500], opens: [] },
    ],
  },
  {
    name: 'the one with sequences that open once',
    file: 'one-time.conf',
    services: [25],
    oneTime: ['1025:tcp,2025:udp,3025:tcp', '4025:tcp,5025:udp,6025:tcp', '7025:tcp,8025:udp,9025:tcp'],
    stories: [
      { who: 'one who knocks the second line first', does: [['4025', '5025:udp', '6025']], opens: [] },
      { who: 'one who knocks the first line', does: [['1025', '2025:udp', '3025']], opens: [25] },
      { who: 'one who knocks the line that was used', does: [['1025', '2025:udp', '3025']], opens: [] },
      { who: 'one who knocks the second line', does: [['4025', '5025:udp', '6025']], opens: [25] },
      {
        who: 'one who knocks the third line, over IPv6',
        does: [['7025', '8025:udp', '9025']],
        opens: [25],
        knockdOpens: [],
        family: 6,
      },
    ],
  },
  {
    name: 'the one on common ports, with all the time in the world and a comment in the rule',
    file: 'wide.conf',
    services: [22],
    stories: [
      { who: 'one who knocks rightly', does: [['443', '80', '53:udp', '443']], opens: [22] },
      {
        who: 'one who waits between two knocks',
        does: [['443', '80'], 2_000, ['53:udp', '443']],
        opens: [22],
      },
      { who: 'one who leaves the datagram out', does: [['443', '80', '443']], opens: [] },
    ],
  },
  {
    name: 'the one that wants SYN without ACK',
    file: 'flags.conf',
    services: [22],
    stories: [
      { who: 'one who sends SYNs', does: [['7001', '8001', '9001']], opens: [22] },
      { who: 'one who sends SYNs with nmap', does: nmap('SYN'), opens: [22] },
      { who: 'one who sends SYNs with ECN', does: nmap('SYNECECWR'), opens: [22] },
      { who: 'one who sends SYN and ACK', does: nmap('SYNACK'), opens: [] },
      { who: 'one who sends FINs', does: nmap('FIN'), opens: [] },
      { who: 'one who sends SYN and FIN', does: nmap('SYNFIN'), opens: [], knockdOpens: [22] },
    ],
  },
];

/** nmap sends three SYNs, or what else it is told, in the order of the list. */
function nmap(flags: string): readonly (readonly string[])[] {
  return [['nmap', '--scanflags', flags]];
}

/** By who came: the ports where he got in. */
type Outcome = Readonly<Record<string, readonly number[]>>;
type Expected = (story: Story) => readonly number[];

const BY_NFKNOCK: Expected = ({ opens }) => opens;
const BY_KNOCKD: Expected = ({ opens, knockdOpens }) => knockdOpens ?? opens;

describe('knockd and nfknock let the same people in, but for the differences that docs/peers.md names,', () => {
  it.concurrent.each(EXAMPLES)('with $name', { timeout: TIMEOUT }, async (example) => {
    const net = await createNet();
    try {
      for (const port of example.services) await net.server.listen(port);
      const played = {
        byKnockd: await throughKnockd(net, example),
        byNfknock: await throughNfknock(net, example),
      };
      expect(played).toEqual({ byKnockd: said(example, BY_KNOCKD), byNfknock: said(example, BY_NFKNOCK) });
    } finally {
      net.close();
    }
  });
});

async function throughKnockd(net: Net, example: Example): Promise<Outcome> {
  const folder = scratchFolder();
  await layGuideRules(net.server);
  const knockd = await startKnockd(net.server, folder, confOf(example, folder));
  const outcome = await playAll(net.clientA, example, BY_KNOCKD);
  // Told to end it would wait for its commands, which sleep until they close what they opened.
  await knockd.stop('SIGKILL');
  await clearRules(net.server);
  return outcome;
}

async function throughNfknock(net: Net, example: Example): Promise<Outcome> {
  const folder = scratchFolder();
  const daemon = await net.server.startDaemon(await imported(folder, confOf(example, folder)));
  const outcome = await playAll(net.clientA, example, BY_NFKNOCK);
  await daemon.stop();
  return outcome;
}

function confOf({ file, oneTime }: Example, folder: string): string {
  const own = join(folder, 'sequences');
  // knockd marks a line by writing over its first character, so its manual has them begin with a space.
  if (oneTime !== undefined) writeFileSync(own, ` ${oneTime.join('\n ')}\n`);
  return exampleConf(file, folder, { [SEQUENCES]: own });
}

function said({ stories }: Example, expected: Expected): Outcome {
  return Object.fromEntries(stories.map((story) => [story.who, expected(story)]));
}

/** Everyone at the same time, each from an address of his own; while one waits, others knock. */
async function playAll(client: Client, example: Example, expected: Expected): Promise<Outcome> {
  const { stories, services } = example;
  const turns = createTurns();
  const play = async (story: Story): Promise<readonly [string, readonly number[]]> => {
    const { v4, v6 } = await turns(() => client.moveToFreshSource());
    const target = story.family === 6 ? client.server6 : client.server4;
    const act = (step: readonly string[]): Promise<unknown> => client.exec(clientOf(step, target));
    // Between two pauses nobody else gets a turn: what has a time limit must not wait for the others.
    const turn = <T>(work: () => Promise<T>): Promise<T> =>
      turns(async () => {
        await sh(client, `ip route replace 192.0.2.0/24 dev eth0 src ${v4}`);
        await sh(client, `ip -6 route replace 2001:db8:a::/48 dev eth0 src ${v6}`);
        return await work();
      });
    let steps = [...story.does];
    for (let pause = steps.findIndex(isPause); pause !== -1; pause = steps.findIndex(isPause)) {
      const now = steps.slice(0, pause).filter((step) => typeof step !== 'number');
      await turn(async () => {
        for (const step of now) await act(step);
      });
      await sleep(Number(steps[pause]));
      steps = steps.slice(pause + 1);
    }
    const reached: number[] = [];
    await turn(async () => {
      for (const step of steps) if (typeof step !== 'number') await act(step);
      for (const port of services) {
        const hope = expected(story).includes(port) ? 'to get in' : 'none';
        if (await reaches(client, target, port, hope)) reached.push(port);
      }
    });
    return [story.who, reached];
  };
  if (example.oneTime === undefined) return Object.fromEntries(await Promise.all(stories.map(play)));
  // Each sequence opens once: here it matters who comes first.
  const outcome: (readonly [string, readonly number[]])[] = [];
  for (const story of stories) outcome.push(await play(story));
  return Object.fromEntries(outcome);
}

function isPause(step: readonly string[] | number): boolean {
  return typeof step === 'number';
}

function clientOf(step: readonly string[], target: string): readonly string[] {
  if (step[0] !== 'nmap') return ['knock', target, ...step];
  const brief = ['-n', '-Pn', '--send-ip', '--max-retries', '0', '--host-timeout', '300ms'];
  return [...step, '-sS', '-r', '-p', '7001,8001,9001', ...brief, target];
}

/** One after the other, in the order in which they were asked for. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
