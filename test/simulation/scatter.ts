import { createEngine, type Engine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { DEFAULT_LIMITS } from '../../src/fleet/budget.ts';
import type { Bus } from '../../src/fleet/bus.ts';
import type { Heard, Host, Surroundings } from '../../src/fleet/host.ts';
import type { KnockHost } from '../../src/fleet/knock-host.ts';
import { createMember, type Member } from '../../src/fleet/member.ts';
import { createMemoryEngine, type MemoryEngine } from '../../src/fleet/memory-bus.ts';
import type { Happened } from '../../src/fleet/own.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { createRandom, createVirtualClock, type Random, type VirtualClock } from './clock.ts';

/* Several machines whose knocks are shared: the real engine and the real member of each, over a bus in memory. */

const EPOCH = 1_790_000_000_000;
/** What the sum of all that is there to be heard takes to be heard. */
const SETTLED = 2_500;
/** Whoever could not run looks at its timers before it reads. */
const READ_AFTER = 0.01;

/** What can be left out of the rules, to see that it is missed. */
export type KnockFault =
  /** What nothing explains is judged where it comes. */
  | 'judged at once'
  /** What nothing explained is told, and nothing else. */
  | 'unexplained only'
  /** Nobody says that a knock was placed. */
  | 'nobody answers'
  /** Nothing keeps an attempt from completing, whatever stands aside. */
  | 'no order'
  /** Clocks are taken to be the same everywhere. */
  | 'no slack'
  /** What could not be told is judged as if this machine were alone. */
  | 'no excuse'
  /** Offences are counted where they were made. */
  | 'offences at home';

export interface FleetOptions {
  readonly settings: EngineSettings;
  readonly members: number;
  readonly seed?: number;
  /** One way of the bus, at least and at most, in milliseconds. */
  readonly delay?: readonly [number, number];
  /** Answers to this member take so much longer: its reckoning of the bus's clock is off by half of it. */
  readonly slow?: { readonly member: string; readonly by: number };
  readonly fault?: KnockFault;
}

export interface ScatterMachine {
  readonly name: string;
  readonly engine: Engine;
  readonly member: Member;
  readonly events: EngineEvent[];
  judge(packet: Packet): void;
}

export interface ScatterFleet {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly bus: MemoryEngine;
  readonly machines: readonly ScatterMachine[];
  /** Messages that were rung. */
  rung(): number;
  /** Lets so much time pass. */
  pass(time: number): void;
  /** This member does not run for so long: then its timers are due at once, and what has come is read after them. */
  stall(member: string, time: number): void;
  /** What a member would ring itself. */
  ring(member: string, message: Uint8Array): void;
  count(name: EngineEvent['event']): number;
  stop(): void;
}

export function createScatterFleet(options: FleetOptions): ScatterFleet {
  const { settings, members, seed = 1, delay = [0.2, 0.6], slow, fault } = options;
  const random = createRandom(seed);
  const clock = createVirtualClock();
  const last = new Map<string, number>();
  const buses = new Map<string, Bus>();
  const stalled = new Map<string, number>();
  const runsAt = (member: string): number => Math.max(clock.now(), stalled.get(member) ?? 0);
  let rung = 0;
  const bus = createMemoryEngine({
    fsync: 'always',
    now: () => EPOCH + clock.now(),
    wire: {
      carry(member, way, arrive) {
        const lane = `${member} ${way}`;
        const late = way === 'answer' && member === slow?.member ? slow.by : 0;
        const at = Math.max(last.get(lane) ?? 0, clock.now() + late + random.between(delay[0], delay[1]));
        last.set(lane, at);
        const come = (): void => {
          const runs = runsAt(member);
          if (way === 'request' || runs === clock.now()) arrive();
          else clock.at(runs + READ_AFTER, come);
        };
        clock.at(at, come);
      },
    },
  });
  const busOf = (name: string): Bus => {
    const own = bus.bus(name);
    buses.set(name, own);
    return {
      ...own,
      ring(message) {
        rung += 1;
        own.ring(message);
      },
    };
  };
  const machines = Array.from({ length: members }, (_, at) =>
    createScatterMachine({ name: `edge${at + 1}`, settings, clock, random, busOf, fault, runsAt }),
  );
  clock.runUntil(SETTLED);
  return {
    clock,
    random,
    bus,
    machines,
    rung: () => rung,
    pass: (time) => clock.runUntil(clock.now() + time),
    stall: (member, time) => void stalled.set(member, clock.now() + time),
    ring: (member, message) => buses.get(member)?.ring(message),
    count: (name) =>
      machines.reduce((sum, { events }) => sum + events.filter(({ event }) => event === name).length, 0),
    stop() {
      for (const { member } of machines) member.stop();
    },
  };
}

interface MachineParts {
  readonly name: string;
  readonly settings: EngineSettings;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly busOf: (name: string) => Bus;
  readonly fault: KnockFault | undefined;
  /** When this member runs again. */
  readonly runsAt: (member: string) => number;
}

function createScatterMachine(parts: MachineParts): ScatterMachine {
  const { name, settings, clock, random, busOf, fault, runsAt } = parts;
  const boot = random.between(0, 1e6);
  const now = (): ReturnType<typeof milliseconds> => milliseconds(clock.now() + boot);
  const events: EngineEvent[] = [];
  const fresh: EngineEvent[] = [];
  const emit = (event: EngineEvent): void => {
    events.push(event);
    fresh.push(event);
  };
  const engine = createEngine(settings, [1, 2], {
    isOn: () => fault !== 'judged at once' && member.knocks.isShared(),
    hears: () => member.knocks.hears(),
    standing: (source) => (fault === 'no order' ? 0 : member.knocks.standing(source)),
  });
  const surroundings: Surroundings = {
    now,
    wallOffset: () => EPOCH - boot + random.between(-4_000, 4_000),
    after(wait, run) {
      let off = false;
      const come = (): void => {
        const runs = runsAt(name);
        if (runs > clock.now()) clock.at(runs, come);
        else if (!off) run();
      };
      clock.at(clock.now() + wait, come);
      return () => {
        off = true;
      };
    },
    random: random.next,
  };

  function tell(happened: Happened): void {
    const registers = member.registersOf(happened);
    member.decide(registers);
    member.tell(registers);
  }

  /** What came of it is told once it has happened, as a daemon does it. */
  function carryOut(): void {
    for (let event = fresh.shift(); event !== undefined; event = fresh.shift()) {
      if ('origin' in event && event.origin !== undefined) continue;
      if (event.event === 'ban.added') {
        const { target, until, count, at } = event;
        tell({ what: 'banned', target, cause: 'strikes', since: at, until, count });
      } else if (event.event === 'door.opened' || event.event === 'door.renewed') {
        const { door, grantee, source, until, at: opened } = event;
        tell({ what: 'opened', door, grantee, source, opened, until, uses: null });
      }
    }
  }

  function apply({ origin, bans, grants }: Heard): void {
    const local = (at: number): ReturnType<typeof milliseconds> => milliseconds(member.clock.toLocal(at));
    engine.execute(
      {
        ...{ command: 'fleet', origin, lifts: [] },
        grants: grants.map(({ door, grantee, source, opened, until, uses }) => ({
          ...{ door, grantee, source, usesLeft: uses, opened: local(opened), until: local(until) },
        })),
        bans: bans.map(({ target, since, until, count, cause }) => ({
          ...{ target, since: local(since), until: local(until), count, origin: cause },
        })),
      },
      now(),
      emit,
    );
    carryOut();
  }

  const host: Host = {
    apply,
    ...{ told() {}, keep() {}, drop() {}, shed() {}, refused() {}, used() {} },
    ...{ oneTimeDoors: () => [], marks: () => [], doors: () => ({}), report() {} },
  };
  const knocks: KnockHost = {
    isOn: () => true,
    accepts: (_, what) => !(fault === 'offences at home' && what === 'offences'),
    wait: () => 300,
    excused: () => ({
      times: fault === 'no excuse' ? 0 : Math.max(...settings.doors.map(({ knock }) => knock.length)),
      within: settings.bans.within,
    }),
    engine: engineWith(fault, engine),
    emit,
    carryOut,
  };
  const member: Member = createMember({
    ...{ name, version: '0', bus: busWith(fault, busOf(name)), host, surroundings, knocks },
    limits: DEFAULT_LIMITS,
    belief: {
      ...{ accepts: () => true, longest: () => 7 * 86_400_000, tombs: () => 8 * 86_400_000 },
      opensFor: (door) => settings.doors.find((each) => each.name === door)?.for,
    },
  });
  member.start({ own: [], untold: [], early: [], known: [] });

  return {
    name,
    engine,
    member,
    events,
    judge(packet) {
      const outcome = engine.judge(packet, now(), emit);
      if (outcome !== 'retransmission') member.knocks.judged(packet, outcome, now());
      carryOut();
      member.knocks.flush();
    },
  };
}

function engineWith(fault: KnockFault | undefined, engine: Engine): KnockHost['engine'] {
  if (fault !== 'no slack') return engine;
  return {
    ...engine,
    place: (packet, late, now, emit) => engine.place(packet, { ...late, slack: 0 }, now, emit),
  };
}

const KIND_AT = 1;
const PLACED = 8;
const KNOCK = 5;
/** Of the only record: after a head of 18 bytes, id, family, protocol and flags. */
const EXPLAINED_AT = 25;

function busWith(fault: KnockFault | undefined, bus: Bus): Bus {
  if (fault !== 'nobody answers' && fault !== 'unexplained only') return bus;
  return {
    ...bus,
    ring(message) {
      const isAnswer = message[KIND_AT] === PLACED;
      const isExplained = message[KIND_AT] === KNOCK && message[EXPLAINED_AT] === 1;
      if (fault === 'nobody answers' ? isAnswer : isExplained) return;
      bus.ring(message);
    },
  };
}
