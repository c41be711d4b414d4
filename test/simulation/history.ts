import type { EngineSettings } from '../../src/engine/settings.ts';
import { createMemoryEngine, type MemoryEngine } from '../../src/fleet/memory-bus.ts';
import { type Register, registerKey } from '../../src/fleet/register.ts';
import { sameAddress } from '../../src/packet/address.ts';
import { formatCidr } from '../../src/packet/cidr.ts';
import type { PortSpec } from '../../src/packet/port.ts';
import { formatPort, PROTOCOL_NUMBER } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { cidr, door, packetOf, ports, settings } from '../unit/engine/world.ts';
import { createRandom, createVirtualClock, type Random, type VirtualClock } from './clock.ts';
import { createMachine, type Fault, type Machine, ONE_TIME_DOOR } from './machine.ts';

/** The bus's clock when a history begins. */
const EPOCH = 1_790_000_000_000;
/** Things happen for so long; then all that is broken is repaired. */
const ACTION = 20_000;
/** After it everything must be the same everywhere. */
const REST = 14_000;

const SOURCES = ['198.51.100.7', '198.51.100.8', '2001:db8:0:1::7', '203.0.113.9'];
/** Never banned at the first machine. */
const EXEMPT = '203.0.113.9';
const EXEMPT_HOST = cidr(EXEMPT);
/** How far a machine's clock may be from what it takes for the time of the bus, in milliseconds. */
const CLOCK_TOLERANCE = 100;
/** So long a machine may know what nobody else does: a member's jitter before it tells it again, and its answer. */
const REASSERTED = 6_000;
const LINES = 6;
/** Proven packets that come in a history, at one machine or at several. */
const PACKETS = 40;

/** What may go wrong in a history: what loses marks is not mixed with what loses those who could tell them again. */
interface Trouble {
  readonly fsync: 'always' | 'everysec';
  readonly copies: number;
  readonly machines: boolean;
  readonly engine: readonly ('disk' | 'replica' | 'memory')[];
}

const TROUBLES: readonly Trouble[] = [
  { fsync: 'always', copies: 0, machines: true, engine: ['disk', 'memory'] },
  { fsync: 'always', copies: 1, machines: true, engine: ['disk', 'replica'] },
  { fsync: 'everysec', copies: 0, machines: false, engine: ['disk'] },
  { fsync: 'always', copies: 0, machines: false, engine: ['replica', 'disk'] },
];

export interface Verdict {
  readonly seed: number;
  readonly violations: readonly string[];
  /** One-time doors that were opened. */
  readonly opened: number;
}

interface World {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly trouble: Trouble;
  readonly engine: MemoryEngine;
  readonly machines: readonly Machine[];
  readonly violations: string[];
  readonly opened: Map<number, number>;
  /** Proven packets that came, and how often each has opened a door. */
  readonly proven: number[];
  /** Grants that a machine should not have, and since when. */
  readonly doubts: Map<string, number>;
  readonly trace: ((text: string) => void) | undefined;
  packet(port: PortSpec | string, from: string): ReturnType<typeof packetOf>;
  isEngineUp: boolean;
}

export function runHistory(seed: number, fault?: Fault, write?: (text: string) => void): Verdict {
  const world = createWorld(seed, fault, write);
  const { clock, random, machines } = world;
  for (const machine of machines) machine.start();
  const actions = 15 + random.below(50);
  for (let drawn = 0; drawn < actions; drawn += 1) clock.at(random.between(1_000, ACTION), () => act(world));
  for (let drawn = 0; hasPackets(seed) && drawn < PACKETS; drawn += 1)
    clock.at(random.between(1_000, ACTION), () => prove(world));
  for (let at = 500; at < ACTION + REST; at += 500) clock.at(at, () => checkAlways(world));
  for (let at = 0; at < ACTION; at += 1_000) clock.at(at, () => maintain(world));
  clock.runUntil(ACTION);
  repair(world);
  clock.runUntil(ACTION + REST);
  checkRest(world);
  for (const machine of machines) machine.kill();
  const opened = [...world.opened.values()].reduce((sum, count) => sum + count, 0);
  return { seed, violations: world.violations, opened };
}

/** In a third of the histories: those of seeds that have shown something before stay what they were. */
function hasPackets(seed: number): boolean {
  return seed % 11 < 4;
}

function createWorld(
  seed: number,
  fault: Fault | undefined,
  write: ((text: string) => void) | undefined,
): World {
  const random = createRandom(seed);
  const clock = createVirtualClock();
  const trouble = random.pick(TROUBLES);
  const loss = random.pick([0, 0.05, 0.3]);
  const slowest = random.pick([2, 8, 40]);
  const last = new Map<string, number>();
  const trace =
    write === undefined
      ? undefined
      : (text: string): void => write(`${clock.now().toFixed(1).padStart(9)} ${text}`);
  const engine = createMemoryEngine({
    fsync: trouble.fsync,
    now: () => EPOCH + clock.now(),
    marks: fault === 'get then set' ? fault : 'write once',
    // A short one, so that it is often trimmed before it is read.
    streamMax: random.pick([3, 20, 10_000]),
    piece: random.pick([2, 2_000]),
    waits: trouble.fsync === 'always' ? 'for the disk' : 'not for the disk',
    wire: {
      carry(member, way, arrive) {
        if (way === 'doorbell' && random.chance(loss)) return;
        const lane = `${member} ${way}`;
        const at = Math.max(last.get(lane) ?? 0, clock.now() + random.between(0.2, slowest));
        last.set(lane, at);
        clock.at(at, arrive);
      },
    },
  });
  const lines = Array.from({ length: LINES }, (_, at) => ports(`${6_000 + at}`, `${6_100 + at}/udp`));
  const opened = new Map<number, number>();
  const violations: string[] = [];
  const machines = Array.from({ length: 2 + random.below(3) }, (_, at) =>
    createMachine({
      ...{
        name: `edge${at + 1}`,
        clock,
        random,
        bus: engine,
        lines,
        copies: trouble.copies,
        epoch: EPOCH,
        trace,
        fault,
      },
      settings: settingsOf(at),
      skew: random.between(-4_000, 4_000),
      opened(line) {
        opened.set(line, (opened.get(line) ?? 0) + 1);
        if (opened.get(line) === 2)
          violations.push(`line ${line} opened twice, the second time at edge${at + 1}`);
      },
    }),
  );
  trace?.(
    `seed ${seed}: ${machines.length} members, ${JSON.stringify(trouble)}, ${loss} of the doorbells lost`,
  );
  const doubts = new Map<string, number>();
  return {
    ...{ clock, random, trouble, engine, machines, violations, opened, proven: [], doubts, trace },
    ...{ packet: createSender(), isEngineUp: true },
  };
}

function settingsOf(machine: number): EngineSettings {
  return settings({
    doors: [
      door({ for: milliseconds(9_000) }),
      door({ name: ONE_TIME_DOOR, oneTime: true, knock: [], for: milliseconds(5_000) }),
    ],
    sources: 64,
    repeats: 1_024,
    bans: { for: milliseconds(8_000), limit: 64, never: machine === 0 ? [EXEMPT_HOST] : [] },
  });
}

/** What the machine that the engine runs on does by itself. */
function maintain({ engine, random, isEngineUp }: World): void {
  if (!isEngineUp) return;
  if (random.chance(0.8)) engine.sync();
  if (random.chance(0.6)) engine.replicate();
}

/** Each packet is another; the same in every run of the history, whatever ran before it in this process. */
function createSender(): World['packet'] {
  let serial = 0;
  return (port, from) => {
    serial = (serial + 1) % 50_000;
    const first = firstOf(typeof port === 'string' ? port : formatPort(port), from);
    const sequence = first.protocol === PROTOCOL_NUMBER.tcp ? serial : 0;
    return { ...first, sequence, sourcePort: 1_024 + serial };
  };
}

const firsts = new Map<string, ReturnType<typeof packetOf>>();

/** To this port, from there: read from the texts once. */
function firstOf(port: string, from: string): ReturnType<typeof packetOf> {
  const key = `${port} ${from}`;
  const first = firsts.get(key) ?? packetOf(port, { from });
  firsts.set(key, first);
  return first;
}

function act(world: World): void {
  const { random, machines, clock, trace, trouble, packet } = world;
  const machine = random.pick(machines);
  const source = random.pick(SOURCES);
  const kind = random.below(100);
  const told = (text: string): void => trace?.(`-- ${machine.name} ${text} ${source}`);
  if (kind < 12) {
    told('bans by hand');
    machine.ban(packet('23', source), random.pick([3_000, 15_000, 60_000]));
  } else if (kind < 24) {
    told('is scanned by');
    for (const decoy of ['23', '2300', '2301']) machine.judge(packet(decoy, source));
  } else if (kind < 36) {
    told('unbans');
    machine.unban(packet('23', source));
  } else if (kind < 39) {
    told('unbans all, not only');
    machine.unbanAll();
  } else if (kind < 48) {
    told('is knocked by');
    for (const step of ['7000', '8000/udp', '9000']) machine.judge(packet(step, source));
  } else if (kind < 53) {
    told('grants by hand to');
    machine.grant(packet('22', source), 'ssh');
  } else if (kind < 60) {
    told('revokes');
    machine.revoke(packet('22', source));
  } else if (kind < 82) {
    knockOnce(world, machine.line(), source);
  } else if (kind < 90) {
    if (trouble.machines) breakMachine(world, machine);
  } else if (world.isEngineUp) {
    breakEngine(world);
  }
  if (kind >= 82) return;
  // Often the same again at once elsewhere: races are what goes wrong.
  if (random.chance(0.3)) clock.at(clock.now() + random.between(0, 20), () => act(world));
}

/** The line of one machine is sent to all of them, as whoever saw it on the wire would. */
function knockOnce(
  { machines, random, clock, trace, packet }: World,
  line: readonly PortSpec[],
  source: string,
): void {
  trace?.(`-- the line ${line.map(formatPort).join()} is knocked everywhere by ${source}`);
  for (const machine of machines) {
    if (random.chance(0.3)) continue;
    clock.at(clock.now() + random.between(0, 30), () => {
      for (const step of line) machine.judge(packet(step, source));
    });
  }
}

/** A packet that a key proves, sent anew or seen on the wire before, comes at some machines. */
function prove({ machines, random, clock, proven, violations, trace }: World): void {
  const isNew = proven.length === 0 || random.chance(0.4);
  const packet = isNew ? proven.push(0) - 1 : random.below(proven.length);
  trace?.(`-- packet ${packet} is sent everywhere`);
  for (const machine of machines) {
    if (random.chance(0.3)) continue;
    clock.at(clock.now() + random.between(0, 30), () =>
      machine.prove(packet, () => {
        const opened = (proven[packet] ?? 0) + 1;
        proven[packet] = opened;
        if (opened === 2)
          violations.push(`packet ${packet} opened twice, the second time at ${machine.name}`);
      }),
    );
  }
}

function breakMachine({ random, clock, engine, trace }: World, machine: Machine): void {
  const lasts = random.pick([50, 1_000, 6_000]);
  if (random.chance(0.5)) {
    trace?.(`-- ${machine.name} is cut off for ${lasts} ms`);
    engine.cut(machine.name);
    clock.at(clock.now() + lasts, () => engine.join(machine.name));
    return;
  }
  if (!machine.isUp()) return;
  trace?.(`-- ${machine.name} is killed for ${lasts} ms`);
  machine.kill();
  clock.at(clock.now() + lasts, () => {
    if (!machine.isUp()) machine.start();
  });
}

function breakEngine(world: World): void {
  const { random, clock, engine, trouble, trace } = world;
  const from = random.pick(trouble.engine);
  const lasts = random.pick([50, 500, 3_000]);
  trace?.(`-- the engine stops for ${lasts} ms, and comes back from ${from}`);
  engine.stop();
  world.isEngineUp = false;
  clock.at(clock.now() + lasts, () => {
    engine.start(from);
    world.isEngineUp = true;
  });
}

function repair({ machines, engine, trace, clock }: World): void {
  trace?.('-- all is repaired');
  for (const machine of machines) {
    if (!machine.isUp()) machine.start();
    // After whatever was under way before.
    clock.at(clock.now() + 3_500, () => engine.join(machine.name));
  }
}

/** What must hold at every moment. */
function checkAlways({ machines, violations, doubts, clock }: World): void {
  for (const [at, machine] of machines.entries()) {
    const [engine, member] = [machine.engine(), machine.member()];
    if (engine === undefined || member === undefined) continue;
    if (at === 0 && engine.bans().some(({ target }) => sameAddress(target.address, EXEMPT_HOST.address)))
      violations.push('an exempt address is banned');
    // Until it has heard from all, it goes by what it had before.
    if (!member.hasJoined() || machine.isBusy()) continue;
    const states = [...member.states()];
    const grants = engine.grants();
    const granted = new Map(grants.length === 0 ? [] : states.map((state) => [registerKey(state), state]));
    for (const grant of grants) {
      const key = registerKey(grantOf(grant));
      const since = `${machine.name} ${key}`;
      const doubt = doubtOf(machine, grant, granted.get(key));
      if (doubt === undefined) {
        doubts.delete(since);
        continue;
      }
      const seen = doubts.get(since) ?? clock.now();
      doubts.set(since, seen);
      // What a promoted engine has forgotten is told again within some seconds; until then this machine alone knows it.
      if (clock.now() - seen > REASSERTED) violations.push(`${machine.name} has ${key}, ${doubt}`);
    }
    for (const state of states) {
      const why = guessIn(state, member.clock.now());
      if (why !== undefined) violations.push(`${machine.name} has ${registerKey(state)} ${why}`);
    }
    if (states.length > 200) violations.push(`${machine.name} keeps ${states.length} registers`);
  }
}

/** What a member decided before it knew the time must be put right before anybody hears of it. */
function guessIn(state: Register, now: number): string | undefined {
  if (state.gen > 0 && state.gen < EPOCH) return `with a stamp of its own, ${state.gen}`;
  const made = state.kind === 'ban' ? state.since : state.kind === 'grant' ? state.opened : 0;
  return made > now + CLOCK_TOLERANCE ? `of ${(made - now).toFixed()} ms from now` : undefined;
}

/** Why a machine should not have this grant. */
function doubtOf(
  machine: Machine,
  grant: Parameters<typeof grantOf>[0] & { readonly until: number },
  state: Register | undefined,
): string | undefined {
  // What has ended by the bus's time is forgotten at once; by its own time, which it knows to some milliseconds only,
  // a machine may be that much behind. Seen: 19 ms.
  if (grant.door === ONE_TIME_DOOR || grant.until <= machine.now() + CLOCK_TOLERANCE) return undefined;
  if (machine.isPending(grant.door, grant.grantee)) return undefined;
  if (state === undefined || state.kind !== 'grant') return 'which nobody said';
  const now = machine.member()?.clock.toBus(machine.now()) ?? 0;
  return state.until < now - CLOCK_TOLERANCE ? 'beyond its end' : undefined;
}

function grantOf({
  door: name,
  grantee,
  source,
}: {
  door: string;
  grantee: Parameters<typeof registerKey>[0] extends infer R
    ? R extends { grantee: infer G }
      ? G
      : never
    : never;
  source: ReturnType<typeof cidr>['address'];
}): Register {
  return { kind: 'grant', door: name, grantee, source, gen: 0, opened: 0, until: 0, uses: null };
}

/** What must hold once nothing has happened for a while. */
function checkRest({ machines, violations, clock }: World): void {
  const moment = EPOCH + clock.now();
  const books = machines.map((machine) => {
    const member = machine.member();
    if (member === undefined || !member.hasJoined()) violations.push(`${machine.name} has not joined`);
    if (machine.untold() !== '') violations.push(`${machine.name} has not told ${machine.untold()}`);
    const states = [...(member?.states() ?? [])].filter(
      (state) => state.kind === 'amnesty' || state.gen > 0 || state.until > moment + 500,
    );
    return new Map(states.map((state) => [registerKey(state), JSON.stringify(Object.entries(state).sort())]));
  });
  for (const [at, book] of books.entries()) {
    for (const [key, state] of book) {
      const first = books[0]?.get(key);
      if (first !== state) violations.push(`${key}: edge1 has ${first}, edge${at + 1} ${state}`);
    }
    for (const [key, state] of books[0] ?? [])
      if (!book.has(key)) violations.push(`edge${at + 1} lacks ${key}: ${state}`);
  }
  for (const machine of machines) checkEngine(machine, violations);
}

/** The engine has what the registers say: bans but of who is exempt or was let in, and grants. */
function checkEngine(machine: Machine, violations: string[]): void {
  const [engine, member] = [machine.engine(), machine.member()];
  if (engine === undefined || member === undefined) return;
  const now = member.clock.toBus(machine.now());
  const all = [...member.states()];
  const amnesty = all.find((state) => state.kind === 'amnesty')?.gen ?? 0;
  const banned = new Set(
    all
      .filter((state) => state.kind === 'ban' && state.until > now - 500 && state.gen >= amnesty)
      .map((state) => (state.kind === 'ban' ? formatCidr(state.target) : '')),
  );
  const surely = all.flatMap((state) =>
    state.kind === 'ban' && state.cause === 'order' && state.until > now + 500 && state.gen >= amnesty
      ? [formatCidr(state.target)]
      : [],
  );
  const held = new Set(
    engine
      .bans()
      .filter(({ until }) => until > machine.now())
      .map(({ target }) => formatCidr(target)),
  );
  for (const target of held)
    if (!banned.has(target)) violations.push(`${machine.name} bans ${target}, which no register says`);
  for (const target of surely)
    if (!held.has(target) && target !== EXEMPT) violations.push(`${machine.name} does not ban ${target}`);
  for (const state of all) {
    if (state.kind !== 'grant' || state.until <= now + 500) continue;
    if (engine.grant(state.door, state.grantee) === undefined)
      violations.push(`${machine.name} lacks the grant ${registerKey(state)}`);
  }
  for (const grant of engine.grants()) {
    const state = member.states();
    const said = [...state].find((each) => registerKey(each) === registerKey(grantOf(grant)));
    if (said?.kind === 'grant' && said.until === 0)
      violations.push(`${machine.name} lets in whom a lift has ended`);
  }
}
