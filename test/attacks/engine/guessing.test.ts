import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { warnings } from '../../../src/strength/warnings.ts';
import { door, ports, ranges, settings, type World, world } from '../../unit/engine/world.ts';

const DAY = 86_400_000;
/** What the guesser knows of: the ports that the secret was drawn from. */
const UNIVERSE = Array.from({ length: 60 }, (_, index) => `${7000 + 37 * index}/tcp`);
const SECRET = [UNIVERSE[41] ?? '', UNIVERSE[7] ?? '', UNIVERSE[23] ?? ''];

const guarded = (bans: Partial<ReturnType<typeof settings>['bans']> = {}): World =>
  world(
    settings({
      doors: [door({ knock: ports(...SECRET) })],
      decoys: ranges(...UNIVERSE.filter((port) => !SECRET.includes(port))),
      bans,
    }),
  );
const host = (number: number): string => `198.51.${(number >> 8) & 255}.${number & 255}`;
const isBanned = (w: World): boolean => w.engine.bans().length > 0;
const wasOpened = (w: World): boolean => w.names().includes('door.opened');

/** A linear congruential generator (Numerical Recipes): the same guesses in every run. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('guessing at full rate', () => {
  // Against: guessing from one source
  // by: strikes, growing bans
  it('from one source makes one try a ban, and in a year no more than the longest bans leave room for', () => {
    const w = guarded();
    const roll = dice(1);
    let judged = 0;
    // Ten bans grow from 10 minutes to 7 days, then there are 52 in a year: each lets three packets be judged,
    // and one more where a first knock was met by chance.
    const most = 62 * 5;
    for (const end = w.now + 365 * DAY; w.now < end && judged < most; ) {
      // Packets of a banned source change nothing, so the guesser's clock may as well jump to its end.
      if (isBanned(w)) w.pass(w.engine.deadline() - w.now);
      w.now += 1;
      if (w.send(UNIVERSE[roll(UNIVERSE.length)] ?? '') !== 'banned') judged += 1;
    }
    expect(judged).toBeLessThan(most);
    expect(wasOpened(w)).toBe(false);
  });

  // Against: guessing at full rate
  // by: `bans.rate`
  it('is a scan above the permitted rate, also where every packet is a knock that begins a sequence', () => {
    const w = world();
    for (let sent = 0; sent < 100; sent += 1) {
      w.now += 1;
      w.send('7000');
    }
    expect(w.said().at(-1)).toBe('ban.added 198.51.100.7 (strikes) #3');
  });
});

describe('the ban oracle', () => {
  /** Guesses step by step; each guess has a source of its own, which is one strike short of a ban. */
  const guess = (
    sees: (w: World, from: string) => boolean,
  ): { found: readonly string[]; sources: number } => {
    const found: string[] = [];
    const w = guarded({ strikes: 2 });
    let sources = 0;
    for (let step = 0; step < SECRET.length; step += 1) {
      // A step already known would be a repeat, which is no offence.
      // The first strike's port once more would be none.
      const left = UNIVERSE.filter((port) => !found.includes(port) && port !== UNIVERSE[1]);
      const right = left.find((candidate) => {
        sources += 1;
        const from = host(sources);
        // A strike, then what is known, then the guess.
        w.send(UNIVERSE[1] ?? '', { from });
        for (const port of [...found, candidate]) {
          w.now += 100;
          w.send(port, { from });
        }
        return !sees(w, from);
      });
      found.push(right ?? 'nothing');
    }
    return { found, sources };
  };

  it('gives a sequence away step by step to who sees his ban on a public port', () => {
    const { found, sources } = guess((w, from) => w.send('443', { from }) === 'banned');
    expect(found).toEqual(SECRET);
    expect(sources).toBeLessThanOrEqual(SECRET.length * UNIVERSE.length);
  });

  // Against: the ban oracle
  // by: `scope: hidden`
  it('tells nothing where a ban leaves public ports as they were', () => {
    expect(guess(() => false).found).not.toEqual(SECRET);
  });

  // Against: the ban oracle left open
  // by: a warning of `check`
  it.each([
    ['all', true],
    ['hidden', false],
  ])('is warned of by `check` with scope: %s: %s', (scope, warned) => {
    const text = `doors: { ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] } }
allow: [443/tcp]
bans: { scope: ${scope} }`;
    const parsed = parseConfig(text, 'nfknock.yaml');
    if (!parsed.ok) throw new Error('the test itself is wrong');
    const codes = warnings(parsed.config).map(({ code }) => code);
    expect(codes.includes('ban-oracle')).toBe(warned);
  });
});

describe('replaying a knock', () => {
  // Against: replaying packets as they were
  // by: the retransmission memory
  it('packet for packet is a retransmission, which neither opens nor renews', () => {
    const w = world();
    const recorded = ['7000', '8000/udp', '9000'].map((port, index) => ({ port, sequence: index }));
    const play = (): void => {
      for (const { port, sequence } of recorded) {
        w.now += 100;
        w.send(port, { sourcePort: 40_000 + sequence, sequence });
      }
    };
    play();
    expect(w.said().at(-1)).toBe('door.opened 198.51.100.7 ssh');
    w.pass(31_000);
    expect(w.said()).toEqual(['door.closed 198.51.100.7 ssh (expired)']);
    play();
    expect(w.said()).toEqual([]);
    expect(w.engine.grants()).toEqual([]);
  });

  // Against: replaying a sequence
  // by: one-time sequences
  it('of a one-time door opens nothing, from no source, at no time', () => {
    const w = world(settings({ doors: [door({ oneTime: true })] }));
    const play = (from: string): void => {
      for (const port of ['7000', '8000/udp', '9000']) {
        w.now += 100;
        w.send(port, { from });
      }
    };
    play('198.51.100.7');
    expect(w.engine.grants()).toHaveLength(1);
    // Before the next line of the file is known, as in the same batch of packets.
    for (const from of ['198.51.100.7', '203.0.113.9']) play(from);
    const next = ports('7100', '8100/udp', '9100');
    w.engine.execute({ command: 'sequence', door: 'ssh', knock: next }, milliseconds(w.now), () => undefined);
    for (const wait of [0, 1_000, 69_000, 100_000, DAY]) {
      w.pass(wait);
      for (const from of ['198.51.100.7', '203.0.113.9', '2001:db8::9']) play(from);
    }
    expect(w.names().filter((name) => name === 'door.opened' || name === 'door.renewed')).toHaveLength(1);
  });
});
