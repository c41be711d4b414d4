import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { encode } from '../../src/fleet/message.ts';
import type { packetFrom } from '../../src/fleet/told-packet.ts';
import { milliseconds } from '../../src/packet/time.ts';
import {
  createScatterFleet,
  type FleetOptions,
  type KnockFault,
  type ScatterFleet,
} from '../simulation/scatter.ts';
import { address, door, packetOf, ports, settings } from '../unit/engine/world.ts';

const PORTS = ['7000', '8000/udp', '9000', '9100/udp'];
let serial = 0;

function packet(port: string, from: string): ReturnType<typeof packetOf> {
  serial += 1;
  return packetOf(port, { from, sequence: serial, sourcePort: 1_024 + (serial % 60_000) });
}

/** Every packet comes to whichever member chance sends it to, or the first alone. */
function send(
  fleet: ScatterFleet,
  from: string,
  knocks: readonly string[],
  gap: number,
  way: 'one' | 'any' = 'any',
): void {
  const begin = fleet.clock.now();
  knocks.forEach((port, index) => {
    const machine = way === 'one' ? fleet.machines[0] : fleet.random.pick(fleet.machines);
    fleet.clock.at(begin + index * gap, () => machine?.judge(packet(port, from)));
  });
}

const isOwn = (event: EngineEvent): boolean => event.event === 'door.opened' && event.origin === undefined;
const opened = (fleet: ScatterFleet): number =>
  fleet.machines.reduce((sum, { events }) => sum + events.filter(isOwn).length, 0);
const struck = (fleet: ScatterFleet): number =>
  fleet.machines.reduce(
    (sum, { events }) =>
      sum + events.filter((event) => 'strikes' in event && event.strikes !== undefined).length,
    0,
  );

/** How many of these knock, each once, let themselves in, and the strikes that it cost them. */
function scattered(
  family: 4 | 6,
  gap: number,
  options: {
    readonly clients?: number;
    readonly fault?: KnockFault;
    readonly cut?: true;
    readonly slow?: FleetOptions['slow'];
  } = {},
): { opened: number; struck: number } {
  const { clients = 200, fault, cut, slow } = options;
  const fleet = createScatterFleet({
    ...{ settings: settings(), members: 3, seed: 7 },
    ...(slow === undefined ? {} : { slow }),
    ...(fault === undefined ? {} : { fault }),
  });
  if (cut === true) for (const { name } of fleet.machines) fleet.bus.cut(name);
  for (let client = 0; client < clients; client += 1) {
    const from = family === 4 ? `198.51.100.${client + 1}` : `2001:db8:${client.toString(16)}::7`;
    send(fleet, from, PORTS.slice(0, 3), gap);
    fleet.pass(2 * gap + 500);
  }
  const found = { opened: opened(fleet), struck: struck(fleet) };
  fleet.stop();
  return found;
}

describe('knocks that come to several members', () => {
  it.each([
    [4, 0.2],
    [4, 2],
    [4, 400],
    [6, 0.2],
    [6, 2],
    [6, 400],
  ] as const)('open for each of 200 clients of IPv%i, %f ms apart, without a strike', (family, gap) => {
    expect(scattered(family, gap)).toEqual({ opened: 200, struck: 0 });
  });

  it.each([2, 20])('open where one member does not know the time well, %f ms apart', (gap) => {
    const slow = { member: 'edge2', by: 25 };
    expect(scattered(4, gap, { clients: 60, slow })).toEqual({ opened: 60, struck: 0 });
  });

  it('are no strike of who knocks once where the bus is away', () => {
    expect(scattered(4, 50, { cut: true, clients: 60 }).struck).toBeLessThan(
      scattered(4, 50, { cut: true, clients: 60, fault: 'no excuse' }).struck / 2,
    );
  });

  it.each<[KnockFault, number, string]>([
    ['judged at once', 2, 'strikes'],
    ['nobody answers', 400, 'strikes'],
    ['no slack', 0.1, 'fewer open'],
  ])('show that "%s" is wrong, %f ms apart: %s', (fault, gap, what) => {
    const found = scattered(4, gap, { clients: 60, fault });
    if (what === 'strikes') expect(found.struck).toBeGreaterThan(0);
    else expect(found.opened).toBeLessThan(scattered(4, gap, { clients: 60 }).opened);
  });

  it.each([
    [undefined, 1],
    ['unexplained only', 0],
  ] as const)('go on past a stray attempt that has a use for one of them (%s)', (fault, open) => {
    const fleet = createScatterFleet({
      ...{ settings: settings(), members: 2 },
      ...(fault === undefined ? {} : { fault }),
    });
    const [one, other] = fleet.machines;
    const knocks = [
      [one, '7000'],
      [other, '7000'],
      [one, '8000/udp'],
      [other, '9000'],
    ] as const;
    for (const [machine, port] of knocks) {
      machine?.judge(packet(port, '198.51.100.7'));
      fleet.pass(50);
    }
    expect(other?.events.filter(isOwn).length).toBe(open);
    fleet.stop();
  });

  it('are no strike where a member could not run for longer than they wait, and has not read the answer', () => {
    const fleet = createScatterFleet({ settings: settings(), members: 2 });
    const [one, other] = fleet.machines;
    one?.judge(packet('7000', '198.51.100.7'));
    fleet.pass(20);
    other?.judge(packet('8000/udp', '198.51.100.7'));
    fleet.stall('edge2', 400);
    fleet.pass(1_000);
    expect(struck(fleet)).toBe(0);
    one?.judge(packet('9000', '198.51.100.7'));
    fleet.pass(20);
    expect(opened(fleet)).toBe(1);
    fleet.stop();
  });

  it.each([
    [undefined, 3],
    ['offences at home', 0],
  ] as const)('count an offence at every member (%s)', (fault, banned) => {
    const fleet = createScatterFleet({
      ...{ settings: settings(), members: 3 },
      ...(fault === undefined ? {} : { fault }),
    });
    ['23', '2300', '2301'].forEach((port, at) => {
      fleet.machines[at]?.judge(packet(port, '198.51.100.7'));
      fleet.pass(20);
    });
    expect(fleet.machines.filter(({ engine }) => engine.bans().length > 0)).toHaveLength(banned);
    fleet.stop();
  });
});

const ordersOf = (letters: string): readonly string[] =>
  letters.length < 2
    ? [letters]
    : [...letters].flatMap((first) => ordersOf(letters.replace(first, '')).map((rest) => first + rest));

function guessed(steps: number, tolerate: number): EngineSettings {
  return settings({ doors: [door({ knock: ports(...PORTS.slice(0, steps)), tolerate })] });
}

/** The stream as who thinks that this is the order of the ports would send it, whose true order is `secret`. */
const knocksOf = (stream: string, secret: string): readonly string[] =>
  [...stream].map((letter) => PORTS[secret.indexOf(letter)] ?? '');

/** Of the orders in which the ports may stand, how many this stream opens. */
function openedAlone(steps: number, stream: string, gap: number): number {
  return ordersOf('abcd'.slice(0, steps)).filter((secret) => {
    const engine = createEngine(guessed(steps, 1), [1, 2]);
    let isOpen = false;
    knocksOf(stream, secret).forEach((port, index) => {
      engine.judge(packet(port, '198.51.100.7'), milliseconds(1e6 + index * gap), (event) => {
        isOpen ||= event.event === 'door.opened';
      });
    });
    return isOpen;
  }).length;
}

type Way = 'one' | 'any' | 'cut';

function openedByFleet(steps: number, stream: string, gap: number, way: Way, fault?: KnockFault): number {
  const fleet = createScatterFleet({
    ...{ settings: guessed(steps, 0), members: 3, seed: 11 },
    ...(fault === undefined ? {} : { fault }),
  });
  if (way === 'cut') for (const { name } of fleet.machines) fleet.bus.cut(name);
  const orders = ordersOf('abcd'.slice(0, steps));
  const open = orders.filter((secret, at) => {
    const before = opened(fleet);
    send(fleet, `198.51.100.${at + 1}`, knocksOf(stream, secret), gap, way === 'one' ? way : 'any');
    fleet.pass(900);
    return opened(fleet) > before;
  });
  fleet.stop();
  return open.length;
}

describe('whoever knows the ports of a door, but not their order', () => {
  const streams = (steps: number, times: number): readonly string[] => {
    const orders = ordersOf('abcd'.slice(0, steps));
    return (steps === 3 ? orders : [0, 9, 14, 23].map((at) => orders[at] ?? '')).map((order) =>
      order.repeat(times),
    );
  };

  // Against: trying several orders of known ports over the members of a fleet that shares knocks
  // by: what stands aside is charged, and keeps its source's doors shut meanwhile
  it.each([3, 4].flatMap((steps) => [1, 2, 3, 5].map((times) => [steps, times] as const)))(
    'opens no more of %i ports, each order %i times within 300 ms, than alone with tolerate: 1',
    (steps, times) => {
      const all = streams(steps, times);
      const gap = 300 / (steps * times - 1);
      const alone = all.reduce((sum, stream) => sum + openedAlone(steps, stream, gap), 0);
      for (const way of ['one', 'any', 'cut'] as const) {
        const fleet = all.reduce((sum, stream) => sum + openedByFleet(steps, stream, gap, way), 0);
        expect(fleet, way).toBeLessThanOrEqual(alone);
      }
    },
  );

  it.each([3, 4])('opens no more by all orders of %i ports one after the other', (steps) => {
    const stream = ordersOf('abcd'.slice(0, steps)).join('');
    const gap = 300 / (stream.length - 1);
    for (const way of ['one', 'any', 'cut'] as const)
      expect(openedByFleet(steps, stream, gap, way), way).toBeLessThanOrEqual(
        openedAlone(steps, stream, gap),
      );
  });

  it('would open more if nothing kept the order of what stands aside', () => {
    const all = streams(4, 3);
    const gap = 300 / 11;
    const sum = (count: (stream: string) => number): number =>
      all.reduce((total, stream) => total + count(stream), 0);
    expect(sum((stream) => openedByFleet(4, stream, gap, 'one', 'no order'))).toBeGreaterThan(
      sum((stream) => openedByFleet(4, stream, gap, 'one')),
    );
  });

  it('of clocks that can not tell which knock was first gains less than the best stream alone', () => {
    for (const [steps, best] of [
      [3, 6],
      [4, 14],
    ] as const)
      for (const stream of streams(steps, 1))
        expect(openedByFleet(steps, stream, 0.05, 'any')).toBeLessThanOrEqual(best);
  });
});

describe('a flood', () => {
  const forged = (at: number): string => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;

  it('of 20,000 first knocks a second makes fewer than 1,000 messages', () => {
    const fleet = createScatterFleet({ settings: settings({ sources: 65_536 }), members: 3 });
    const before = fleet.rung();
    for (let at = 0; at < 20_000; at += 1)
      fleet.clock.at(fleet.clock.now() + at / 20, () =>
        fleet.random.pick(fleet.machines).judge(packet('7000', forged(at))),
      );
    fleet.pass(1_000);
    expect(fleet.rung() - before).toBeLessThan(1_000);
    fleet.stop();
  });

  it('of later knocks from forged sources strikes none of them, and leaves honest clients their doors', () => {
    const fleet = createScatterFleet({ settings: settings({ sources: 65_536 }), members: 3 });
    const begin = fleet.clock.now();
    for (let at = 0; at < 6_000; at += 1)
      fleet.clock.at(begin + at / 3, () =>
        fleet.random.pick(fleet.machines).judge(packet('8000/udp', forged(at))),
      );
    fleet.pass(500);
    for (let client = 0; client < 40; client += 1) {
      send(fleet, `198.51.100.${client + 1}`, PORTS.slice(0, 3), 8);
      fleet.pass(30);
    }
    fleet.pass(200);
    expect(opened(fleet)).toBeGreaterThanOrEqual(38);
    for (const { member } of fleet.machines) expect(member.status().parked).toBeLessThanOrEqual(12_288);
    fleet.stop();
  });

  // Against: a member with stolen credentials that floods the others with knocks and offences
  // by: what one member may say in a second
  it('of a member that says more than it may is kept to its budget', () => {
    const fleet = createScatterFleet({ settings: settings({ sources: 65_536 }), members: 2 });
    const [one] = fleet.machines;
    const time = fleet.machines[1]?.member.clock.now() ?? 0;
    const records = (from: number): Parameters<typeof packetFrom>[0][] =>
      Array.from({ length: 250 }, (_, index) => ({
        ...{ id: from + index, protocol: 17, flags: 0, explained: false },
        ...{ source: address(forged(from + index)), destination: address('192.0.2.1') },
        ...{ sourcePort: 1_024, port: 8_000, sequence: 0, at: time },
      }));
    for (let from = 0; from < 10_000; from += 250)
      fleet.ring('edge2', encode({ kind: 'knock', number: 0, time, records: records(from) }));
    for (let from = 20_000; from < 30_000; from += 250)
      fleet.ring('edge2', encode({ kind: 'struck', number: 0, time, records: records(from) }));
    fleet.pass(20);
    const { parked, refused } = one?.member.status() ?? { parked: 0, refused: new Map() };
    expect(parked).toBeLessThanOrEqual(2_050);
    expect(refused.get('limit')).toBeGreaterThan(17_000);
    expect(one?.events.filter(({ event }) => event === 'knock.wrong').length).toBeLessThanOrEqual(520);
    // It forgets what nobody had a use for.
    fleet.pass(500);
    expect(one?.member.status().parked).toBe(0);
    fleet.stop();
  });
});
