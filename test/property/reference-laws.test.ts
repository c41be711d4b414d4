import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { decode } from '../../src/packet/decode.ts';
import { emptyPacket } from '../../src/packet/packet.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { bitsOf, bitsOfAddress, bitsOfCidr, networkOf, overlap } from '../reference/address.ts';
import { historyOf, intent, SOURCES } from '../reference/arbitrary-history.ts';
import { settings } from '../reference/arbitrary-settings.ts';
import { crowdPacket, likePackets } from '../reference/crowd.ts';
import { eventText, plain } from '../reference/event.ts';
import { knockedFor, type Timed } from '../reference/knocked.ts';
import type { Move } from '../reference/move.ts';
import { enginePacket, type RefPacket } from '../reference/packet.ts';

const RUNS = { numRuns: 150 };

/** Laws are about packets; what they say holds for every such history, whatever the reference thinks of it. */
const histories = fc
  .tuple(settings, fc.array(intent(0), { minLength: 1, maxLength: 40, size: 'max' }))
  .map(([config, intents]) => ({ config, moves: inOrder(historyOf(config, intents)) }));

describe('whatever the settings and the packets', () => {
  test('a door opens only after every knock of its sequence, in order and in time, by that source alone', () => {
    fc.assert(
      fc.property(histories, ({ config, moves }) => {
        const engine = createEngine(config, [1, 2]);
        const past: Timed[] = [];
        for (const move of moves) {
          past.push(move);
          for (const event of judge(engine, move)) {
            if (event.event !== 'door.opened' && event.event !== 'door.renewed') continue;
            const door = config.doors.find((one) => one.name === event.door);
            const own = past.filter(({ packet }) => packet.source === move.packet.source);
            expect(bitsOfAddress(event.source)).toBe(bitsOf(move.packet.source));
            expect(door !== undefined && knockedFor(door, own)).toBe(true);
          }
        }
      }),
      RUNS,
    );
  });

  test('what one source gets does not depend on the packets of others', () => {
    fc.assert(
      fc.property(histories, fc.constantFrom(...SOURCES), ({ config, moves }, source) => {
        const apart = unshared(config);
        const offender = networkOf(bitsOf(source));
        const own = moves.filter(({ packet }) => bitsOf(packet.source).startsWith(offender));
        const about = (event: EngineEvent): boolean => bitsOfWhom(event).startsWith(offender);
        expect(said(apart, own)).toEqual(said(apart, moves, about));
      }),
      RUNS,
    );
  });

  test('a packet that comes twice changes nothing', () => {
    fc.assert(
      fc.property(histories, fc.nat(5), ({ config, moves }, copies) => {
        const own = moves.filter((move, index) => {
          return moves.findIndex((other) => sameIdentity(other.packet, move.packet)) === index;
        });
        const twice = own.flatMap((move, index) => (index % 5 < copies ? [move, move] : [move]));
        expect(said(config, twice)).toEqual(said(config, own));
      }),
      RUNS,
    );
  });

  test('the key that scatters the tables changes nothing', () => {
    fc.assert(
      fc.property(histories, fc.integer(), fc.integer(), ({ config, moves }, high, low) => {
        expect(said(config, moves, () => true, [high, low])).toEqual(said(config, moves));
      }),
      RUNS,
    );
  });

  test('who is never to be banned is not', () => {
    fc.assert(
      fc.property(histories, ({ config, moves }) => {
        const engine = createEngine(config, [1, 2]);
        const events = moves.flatMap((move) => judge(engine, move));
        const targets = events.flatMap((event) =>
          event.event === 'ban.added' ? [bitsOfCidr(event.target)] : [],
        );
        const never = config.bans.never.map(bitsOfCidr);
        expect(targets.filter((target) => never.some((network) => overlap(network, target)))).toEqual([]);
      }),
      RUNS,
    );
  });
});

describe('a grant or a ban', () => {
  test('ends exactly at its time, and the deadline says when that is', () => {
    fc.assert(
      fc.property(histories, ({ config, moves }) => {
        const engine = createEngine(config, [1, 2]);
        const ends = new Map<string, number>();
        for (const move of moves) {
          for (const event of judge(engine, move)) note(ends, event);
          expect([...ends.values()].filter((end) => end <= move.at)).toEqual([]);
          const soonest = Math.min(Number.POSITIVE_INFINITY, ...ends.values());
          expect(engine.deadline()).toBe(soonest);
        }
        for (const end of [...new Set(ends.values())].sort((x, y) => x - y)) {
          const early: EngineEvent[] = [];
          engine.expire(milliseconds(end - 0.001), (event) => early.push(event));
          expect(early).toEqual([]);
          engine.expire(milliseconds(end), (event) => note(ends, event));
          expect([...ends.values()].filter((other) => other <= end)).toEqual([]);
        }
      }),
      RUNS,
    );
  });
});

describe('the engine', () => {
  test('never holds more than it was told to, whoever sends', () => {
    const crowd = fc.array(fc.tuple(fc.nat(300), fc.nat(20)), {
      minLength: 50,
      maxLength: 400,
    });
    fc.assert(
      fc.property(settings, fc.constantFrom(1, 2, 7, 16), crowd, (config, sources, packets) => {
        const small = { ...config, sources };
        const engine = createEngine(small, [1, 2]);
        for (const [index, [host, choice]] of packets.entries()) {
          judge(engine, { at: 1000 + index * 10, packet: crowdPacket(config, index, host, choice) });
          const sizes = engine.sizes();
          expect(sizes.attempts).toBeLessThanOrEqual(sizes.sourcesMax);
          expect(sizes.offenders).toBeLessThanOrEqual(sizes.sourcesMax);
          expect(sizes.bans).toBeLessThanOrEqual(config.bans.limit);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('takes any bytes for a packet, or says what is wrong with them', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 120 }), likePackets());
    fc.assert(
      fc.property(settings, fc.array(bytes, { maxLength: 30 }), (config, all) => {
        const engine = createEngine(config, [1, 2]);
        const packet = emptyPacket();
        for (const [index, one] of all.entries()) {
          const reason = decode(one, 0, one.length, packet);
          const now = milliseconds(index * 100);
          if (reason === null) engine.judge(packet, now, () => {});
          else engine.malformed(reason, now, () => {});
        }
      }),
      { numRuns: 500 },
    );
  });
});

function inOrder(moves: readonly Move[]): readonly Timed[] {
  let last = 0;
  return moves.flatMap((move) => {
    if (!('packet' in move)) return [];
    last = Math.max(last, move.at);
    return [{ at: last, packet: move.packet }];
  });
}

function judge(engine: ReturnType<typeof createEngine>, move: Timed): readonly EngineEvent[] {
  const events: EngineEvent[] = [];
  const now = milliseconds(move.at);
  engine.expire(now, (event) => events.push(event));
  engine.judge(enginePacket(move.packet), now, (event) => events.push(event));
  return events;
}

/** Everything said about those of `about`, in order; what is still in force at the end is run out. */
function said(
  config: EngineSettings,
  moves: readonly Timed[],
  about: (event: EngineEvent) => boolean = () => true,
  key: readonly [number, number] = [1, 2],
): readonly string[] {
  const engine = createEngine(config, key);
  const events = moves.flatMap((move) => judge(engine, move));
  engine.expire(milliseconds(1e12), (event) => events.push(event));
  return events.filter(about).map((event) => eventText(plain(event)));
}

/** The same settings without what sources share by intent: places to hold, grants to others, single sequences. */
function unshared(config: EngineSettings): EngineSettings {
  const doors = config.doors.map((door) => ({
    ...door,
    grant: 'source' as const,
    holders: null,
    oneTime: false,
  }));
  return { ...config, doors, bans: { ...config.bans, limit: 100 } };
}

function bitsOfWhom(event: EngineEvent): string {
  if ('source' in event) return bitsOfAddress(event.source);
  return 'target' in event ? bitsOfCidr(event.target) : '';
}

function sameIdentity(x: RefPacket, y: RefPacket): boolean {
  const identity = ({ flags, stamped, ...rest }: RefPacket): string => JSON.stringify(rest);
  return identity(x) === identity(y);
}

/** Keeps the ends of what is in force; an end at another time than was said fails. */
function note(ends: Map<string, number>, event: EngineEvent): void {
  const grantee =
    'grantee' in event ? eventText(plain({ ...event, event: 'door.opened' } as EngineEvent)) : '';
  const door = 'door' in event ? `${event.door} ${/grantee=(\S+)/.exec(grantee)?.[1]}` : '';
  const target = 'target' in event ? bitsOfCidr(event.target) : '';
  switch (event.event) {
    case 'door.opened':
    case 'door.renewed':
      ends.set(door, event.until);
      return;
    case 'ban.added':
      if (event.shadow !== true) ends.set(target, event.until);
      return;
    case 'door.closed':
    case 'ban.expired':
      if (event.event === 'ban.expired' || event.reason === 'expired') {
        expect(event.at).toBe(ends.get(event.event === 'ban.expired' ? target : door));
      }
      ends.delete(event.event === 'ban.expired' ? target : door);
      return;
    case 'ban.lifted':
      ends.delete(target);
      return;
    default:
  }
}
