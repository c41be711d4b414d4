import type { BanEvent, DoorEvent } from '../../src/daemon/commit.ts';
import { createHere, type Here } from '../../src/daemon/fleet-here.ts';
import {
  commandOf,
  keptOf,
  knownOf,
  liftedHere,
  registerFrom,
  registerText,
  rowOfRegister,
} from '../../src/daemon/fleet-registers.ts';
import { createSayings, type Sayings } from '../../src/daemon/fleet-sayings.ts';
import type { Ban } from '../../src/engine/ban.ts';
import { createEngine, type Engine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import type { GrantView } from '../../src/engine/views.ts';
import { DEFAULT_LIMITS } from '../../src/fleet/budget.ts';
import type { Bus, ClaimRequest } from '../../src/fleet/bus.ts';
import { lineDigest } from '../../src/fleet/claim.ts';
import type { Unsettled } from '../../src/fleet/early.ts';
import type { Heard, Host, Surroundings } from '../../src/fleet/host.ts';
import { createMember, type Member } from '../../src/fleet/member.ts';
import type { MemoryEngine } from '../../src/fleet/memory-bus.ts';
import type { Happened } from '../../src/fleet/own.ts';
import { covers, type Register, registerKey } from '../../src/fleet/register.ts';
import { formatAddress } from '../../src/packet/address.ts';
import { type Cidr, formatCidr, hostCidr, offenderOf } from '../../src/packet/cidr.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { formatPort, type PortSpec } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { type Grantee, grantKey } from '../../src/policy/grantee.ts';
import { createFleetKept, type FleetKept } from '../../src/state/fleet-kept.ts';
import type { Random, VirtualClock } from './clock.ts';

/** What outlives the machine: its state file, and which lines of the one-time file are used. */
interface Disk {
  words: FleetKept;
  readonly used: Set<string>;
  readonly marks: ClaimRequest[];
  /** Proven packets that were seen. */
  readonly packets: Set<number>;
  /** By target, and by door and grantee. */
  readonly bans: Map<string, Ban>;
  /** Whose ban was lifted, and who was not banned again since. */
  readonly lifted: Set<string>;
  /** What is in force, which outlives the daemon. */
  readonly kernel: Map<string, Pick<Ban, 'target' | 'until'>>;
  readonly grants: Map<string, GrantView>;
}

type BanOrDoor = DoorEvent | BanEvent;
type Opening = Extract<DoorEvent, { readonly event: 'door.opened' | 'door.renewed' }>;

export interface MachineParts {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly bus: MemoryEngine;
  readonly settings: EngineSettings;
  /** The lines of the one-time door, the same at every machine. */
  readonly lines: readonly (readonly PortSpec[])[];
  readonly copies: number;
  /** The bus's clock at the virtual clock's beginning. */
  readonly epoch: number;
  /** How far this machine's wall clock is off. */
  readonly skew: number;
  /** Told step by step; undefined: nobody looks, and nothing is put into words. */
  readonly trace: ((text: string) => void) | undefined;
  /** A one-time line has let somebody in here. */
  readonly opened: (line: number) => void;
  readonly fault: Fault | undefined;
}

/** What can be left out, to see that it is missed. */
export type Fault =
  /** What is said is kept in memory alone. */
  | 'forgetful'
  /** A one-time door opens where nobody can be asked. */
  | 'fails open'
  /** A new run of the engine is taken for the one before: nothing is said again, and claims do not wait. */
  | 'same run'
  /** Marks are read, and then set. */
  | 'get then set'
  /** An engine that has forgotten which packets were used is not told again. */
  | 'untold packets'
  /** Lifts begin no new generation. */
  | 'no generations'
  /** What the doorbell lost is not read from the stream. */
  | 'doorbells alone'
  /** What this machine has decided counts against what others say only once it is told. */
  | 'decides late'
  /** What was said before the time was known is kept as if it had been. */
  | 'keeps guesses';

export const ONE_TIME_DOOR = 'once';
const SECRET = new TextEncoder().encode('the secret of the group');

/** One machine: the real engine and the real member; what is between them is here, as a daemon does it. */
export interface Machine {
  readonly name: string;
  isUp(): boolean;
  start(): void;
  kill(): void;
  judge(packet: Packet): void;
  ban(packet: Packet, lasts: number): void;
  unban(packet: Packet): void;
  unbanAll(): void;
  grant(packet: Packet, door: string): void;
  revoke(packet: Packet): void;
  line(): readonly PortSpec[];
  /** A proven packet with this number comes: `opens` is called where it opens a door. */
  prove(packet: number, opens: () => void): void;
  member(): Member | undefined;
  engine(): Engine | undefined;
  now(): number;
  untold(): string;
  /** What others said waits to be carried out. */
  isBusy(): boolean;
  /** It was opened here, and others have not been told. */
  isPending(door: string, grantee: Grantee): boolean;
}

export function createMachine(parts: MachineParts): Machine {
  const { name, clock, random, bus, lines, copies, epoch, skew, trace, opened, fault } = parts;
  const disk: Disk = {
    words: createFleetKept(),
    used: new Set(),
    marks: [],
    packets: new Set(),
    bans: new Map(),
    lifted: new Set(),
    kernel: new Map(),
    grants: new Map(),
  };
  const digests = lines.map((line) =>
    Buffer.from(lineDigest(SECRET, ONE_TIME_DOOR, line.map(formatPort).join())).toString('hex'),
  );
  const boot = random.between(0, 1e6);
  const now = (): number => clock.now() + boot;
  const moment = (): ReturnType<typeof milliseconds> => milliseconds(now());
  const isLate = fault === 'decides late';
  let life = 0;
  let engine: Engine | undefined;
  let member: Member | undefined;
  let sayings: Sayings | undefined;
  let here: Here | undefined;
  let claiming = false;
  /** When what was begun last is on the disk, in force, and carried out of others' words. */
  let [durable, inForce, carried] = [0, 0, 0];
  /** Openings that are not told yet, and what others said of doors that are asked for. */
  const pending = new Set<string>();
  let heldBack: Heard[] = [];

  const lineAt = (): number => digests.findIndex((digest) => !disk.used.has(digest));
  const line = (): readonly PortSpec[] => lines[lineAt()] ?? [];

  /** In this life alone. */
  function at(time: number, run: () => void): void {
    const made = life;
    clock.at(time, () => {
      if (made === life) run();
    });
  }

  function surroundings(): Surroundings {
    return {
      now,
      wallOffset: () => epoch - boot + skew,
      after(wait, run) {
        let off = false;
        at(clock.now() + wait, () => {
          if (!off) run();
        });
        return () => {
          off = true;
        };
      },
      random: random.next,
    };
  }

  function unsettled(register: Register): Unsettled | undefined {
    return fault === 'keeps guesses' ? undefined : member?.unsettled(register);
  }

  function write(registers: readonly Register[]): void {
    for (const register of registers) disk.words.apply(rowOfRegister(register, unsettled(register)));
  }

  /** What is said is computed by the daemon's own code; with a fault it counts here only once it is told. */
  function sayingsOf(of: Member, alone: Here): Sayings {
    const without = (registers: readonly Register[]): readonly Register[] =>
      fault === 'no generations' ? registers.map((register) => ({ ...register, gen: 0 })) : registers;
    return createSayings({
      member: {
        registersOf: (happened) => without(of.registersOf(happened)),
        decide: (registers) => (isLate ? registers : of.decide(registers)),
        right: of.right,
        unsettled,
        tell(registers) {
          if (isLate) of.decide(registers);
          of.tell(registers);
        },
      },
      ...{ here: alone, share: () => ['bans', 'grants'] },
      grant: (event) => engine?.grant(event.door, event.grantee),
    });
  }

  /** Durable, then in force, then told: each takes its time, and keeps its order. */
  function commit(event: BanOrDoor): void {
    durable = Math.max(durable, clock.now() + random.pick([0, 0, 5, 20]));
    inForce = Math.max(inForce, durable + random.pick([0.1, 1, 10, 60]));
    if (isOpening(event)) pending.add(grantKey(event.door, event.grantee));
    at(durable, () => {
      if (isLate) sayings?.decided(event);
      keep(event);
      for (const change of sayings?.rowsOf(event) ?? [])
        if (change.change === 'register' || change.change === 'unregister') disk.words.apply(change);
    });
    at(inForce, () => {
      if (isOpening(event)) pending.delete(grantKey(event.door, event.grantee));
      kernelKeeps(event);
      sayings?.tell(event);
    });
  }

  function keep(event: BanOrDoor): void {
    switch (event.event) {
      case 'ban.added':
      case 'ban.extended': {
        const { target, at: since, until, count, origin: from } = event;
        const wanted = event.reason === 'order' || event.wanted === true;
        const ban = { target, since, until, count, origin: wanted ? 'order' : 'strikes' } as const;
        disk.bans.set(formatCidr(target), from === undefined ? ban : { ...ban, from });
        disk.lifted.delete(formatCidr(target));
        return;
      }
      case 'ban.lifted':
        disk.lifted.add(formatCidr(event.target));
        disk.bans.delete(formatCidr(event.target));
        return;
      case 'ban.expired':
        disk.bans.delete(formatCidr(event.target));
        return;
      case 'door.closed':
        disk.grants.delete(grantKey(event.door, event.grantee));
        return;
      default: {
        const grant = engine?.grant(event.door, event.grantee);
        if (grant !== undefined) disk.grants.set(grantKey(event.door, event.grantee), grant);
      }
    }
  }

  function kernelKeeps(event: BanOrDoor): void {
    if (event.event === 'ban.added' || event.event === 'ban.extended')
      disk.kernel.set(formatCidr(event.target), { target: event.target, until: event.until });
    if (event.event === 'ban.lifted' || event.event === 'ban.expired')
      disk.kernel.delete(formatCidr(event.target));
  }

  /** Events are carried out after the packet or command that brought them about. */
  const events: EngineEvent[] = [];
  function later(event: EngineEvent): void {
    if (trace !== undefined && /^(ban|door)/.test(event.event)) trace(`${name} ${JSON.stringify(event)}`);
    if (!isLate) sayings?.decided(event);
    events.push(event);
  }
  function told(event: EngineEvent): void {
    sayings?.keepHere(event);
    later(event);
  }
  function turn(run: (of: Engine) => void): void {
    if (engine === undefined) return;
    run(engine);
    for (let event = events.shift(); event !== undefined; event = events.shift()) {
      if (!isBanOrDoor(event)) continue;
      if (isOpening(event) && event.door === ONE_TIME_DOOR && event.origin === undefined) claim(event);
      else commit(event);
    }
  }

  /** Somebody lifted it, whatever is known of it here. */
  function say(happened: Happened): void {
    const of = member;
    if (of === undefined) return;
    const made = of.registersOf(happened);
    const registers = fault === 'no generations' ? made.map((register) => ({ ...register, gen: 0 })) : made;
    const decided = isLate ? registers : of.decide(registers);
    // Behind what was written before it, as in one log.
    if (durable > clock.now()) at(durable, () => write(decided));
    else write(decided);
    at(inForce, () => {
      if (isLate) of.decide(registers);
      of.tell(registers);
    });
  }

  function use(digest: string): void {
    disk.used.add(digest);
    engine?.execute({ command: 'sequence', door: ONE_TIME_DOOR, knock: line() }, moment(), later);
  }

  function claim(event: Opening): void {
    const which = lineAt();
    const digest = digests[which];
    if (member === undefined || digest === undefined) return;
    claiming = true;
    const once = {
      mark: { of: 'used', name: ONE_TIME_DOOR },
      ...{
        field: Uint8Array.from(Buffer.from(digest, 'hex')),
        copies,
        isKept: true,
        source: formatAddress(event.source),
      },
    } as const;
    const { grantee } = event;
    member.claim(once, (answer) => {
      trace?.(`${name} claim of line ${which}: ${JSON.stringify(answer)}`);
      claiming = false;
      const wins = answer.outcome === 'won' || (answer.outcome === 'shut' && fault === 'fails open');
      disk.marks.push({ mark: once.mark, field: once.field, copies: null, value: `${name} again x 0` });
      if (wins) {
        opened(which);
        commit(event);
        member?.tellUsed(ONE_TIME_DOOR, digest);
      }
      turn((of) => {
        if (!wins)
          of.execute({ command: 'refuse', door: ONE_TIME_DOOR, grantee, reason: 'refused' }, moment(), later);
        use(digest);
      });
      const held = heldBack;
      heldBack = [];
      for (const each of held) apply(each);
    });
  }

  /** What this machine has seen it does not ask for again, whatever was answered. */
  function prove(packet: number, opens: () => void): void {
    if (member === undefined || disk.packets.has(packet)) return;
    disk.packets.add(packet);
    const mark = { of: 'spa', name: '1', seconds: 900 } as const;
    member.claim(
      { mark, field: Uint8Array.of(packet), copies, isKept: false, source: 'x' },
      ({ outcome }) => {
        trace?.(`${name} claim of packet ${packet}: ${outcome}`);
        if (outcome === 'won' || (outcome === 'shut' && fault === 'fails open')) opens();
      },
    );
  }

  /** At once, or after what waits: the kernel may have too much to do. */
  function apply(heard: Heard): void {
    const waits = random.pick([0, 0, 0, 15, 40]);
    if (waits === 0 && carried <= clock.now()) {
      carryOut(heard);
      return;
    }
    carried = Math.max(carried, clock.now() + waits);
    at(carried, () => carryOut(heard));
  }

  function carryOut(said: Heard): void {
    const clockOf = member?.clock;
    if (clockOf === undefined) return;
    if (said.lifts.some(({ kind }) => kind === 'amnesty'))
      sweep('stands', (target) => liftFor(said.origin, target));
    const heard = isLate ? said : countsNow(said);
    if (claiming && heard.grants.some((grant) => grant.door === ONE_TIME_DOOR))
      heldBack.push({ ...heard, lifts: [], bans: [], grants: heard.grants.filter(isOneTime) });
    const grants = heard.grants.filter((grant) => !claiming || !isOneTime(grant));
    for (const lift of heard.lifts) if (lift.kind === 'amnesty') remember(lift);
    turn((of) =>
      of.execute(
        { command: 'fleet', origin: said.origin, ...commandOf({ ...heard, grants }, clockOf) },
        moment(),
        later,
      ),
    );
  }

  const grantKnows = (door: string, grantee: Grantee): number => sayings?.grantKnows(door, grantee) ?? 0;
  const countsNow = (said: Heard): Heard => here?.counts(member?.current(said) ?? said, grantKnows) ?? said;

  /** So that it lifts, after a restart, nothing that is newer. */
  function remember(all: Register): void {
    const key = registerKey(all);
    const kept = registerFrom(disk.words.all().registers.get(key)?.value ?? '');
    if (kept === undefined || kept.gen < all.gen)
      disk.words.apply({ change: 'register', key, value: registerText(all), untold: false });
  }

  /** Lifts what is over by then: all but what stands, or what has been ended. */
  function sweep(by: 'stands' | 'ended', lift: (target: Cidr) => void): void {
    for (const ban of engine?.bans() ?? []) {
      const standing = member?.standing({ ...ban, knows: here?.banKnows(ban) ?? 0 });
      if ((standing === by) !== (by === 'ended')) continue;
      lift(ban.target);
      if (member === undefined) continue;
      // What is left of it.
      const left = { origin: name, lifts: [], grants: [], bans: member.left(ban.target) };
      const order = { command: 'fleet', origin: name, ...commandOf(left, member.clock) } as const;
      turn((of) => of.execute(order, moment(), later));
    }
  }

  function closeFor(door: string, grantee: Grantee): void {
    const lifts = [{ lift: 'grant', door, grantee }] as const;
    turn((of) =>
      of.execute({ command: 'fleet', origin: name, lifts, grants: [], bans: [] }, moment(), later),
    );
  }

  function liftFor(origin: string, target: Cidr): void {
    turn((of) =>
      of.execute(
        { command: 'fleet', origin, lifts: [{ lift: 'ban', target, only: 'any' }], grants: [], bans: [] },
        moment(),
        later,
      ),
    );
  }

  const host: Host = {
    apply,
    told(registers) {
      for (const register of registers) {
        const key = registerKey(register);
        const row = disk.words.all().registers.get(key);
        const there = row === undefined ? undefined : registerFrom(row.value);
        if (row !== undefined && there !== undefined && covers(register, there))
          disk.words.apply({ change: 'told', key, value: row.value });
      }
    },
    keep: write,
    drop(registers) {
      for (const register of registers)
        disk.words.apply({ change: 'unregister', key: registerKey(register) });
    },
    shed() {},
    refused() {},
    used(door, digest) {
      if (door !== ONE_TIME_DOOR || disk.used.has(digest) || claiming) return;
      trace?.(`${name} hears that line ${digests.indexOf(digest)} is used`);
      turn(() => use(digest));
    },
    oneTimeDoors: () => [ONE_TIME_DOOR],
    marks: () => disk.marks,
    doors: () => ({ ssh: 'one' }),
    report(news) {
      trace?.(`${name} ${JSON.stringify(news)}`);
      if (news.news !== 'joined' || isLate) return;
      sweep('ended', (target) => liftFor(name, target));
      for (const { door, grantee } of engine?.grants() ?? [])
        if (member?.isClosed(door, grantee, grantKnows(door, grantee))) closeFor(door, grantee);
    },
  };

  const { settings } = parts;
  const withLine = (): EngineSettings => ({
    ...settings,
    doors: settings.doors.map((door): DoorSettings => (door.oneTime ? { ...door, knock: line() } : door)),
  });

  return {
    name,
    isUp: () => engine !== undefined,
    start() {
      life += 1;
      [claiming, durable, inForce, carried] = [false, 0, 0, 0];
      heldBack = [];
      pending.clear();
      for (const ban of adopted()) disk.bans.set(formatCidr(ban.target), ban);
      engine = createEngine(withLine(), [1, 2]);
      engine.execute(
        {
          command: 'restore',
          grants: [...disk.grants.values()].map(({ from, ...grant }) => ({
            ...grant,
            ...(from === undefined ? {} : { from }),
            since: milliseconds(grant.since),
            until: milliseconds(grant.until),
          })),
          bans: [...disk.bans.values()].map((ban) => ({
            ...ban,
            since: milliseconds(ban.since),
            until: milliseconds(ban.until),
          })),
          histories: [],
        },
        moment(),
        () => {},
      );
      disk.kernel.clear();
      for (const { target, until } of engine.bans()) disk.kernel.set(formatCidr(target), { target, until });
      const { opensFor } = {
        opensFor: (door: string) => settings.doors.find((each) => each.name === door)?.for,
      };
      member = createMember({
        ...{
          name,
          version: '0',
          bus: busWith(fault, bus.bus(name)),
          host,
          surroundings: surroundings(),
          knocks: {
            ...{
              isOn: () => false,
              accepts: () => false,
              wait: () => 0,
              excused: () => ({ times: 0, within: 0 }),
            },
            ...{ engine, emit: later, carryOut() {} },
          },
          limits: DEFAULT_LIMITS,
        },
        belief: { accepts: () => true, longest: () => 7 * 86_400_000, opensFor, tombs: () => 8 * 86_400_000 },
      });
      const made = member;
      const alone = createHere(() => made);
      here = alone;
      sayings = sayingsOf(made, alone);
      if (fault === 'forgetful') disk.words = createFleetKept();
      here.resume(disk.words.all());
      member.start({ ...keptOf(disk.words.all()), known: knownOf(engine, member.clock) });
      expire();
    },
    kill() {
      life += 1;
      member?.stop();
      member = undefined;
      engine = undefined;
      events.length = 0;
    },
    judge: (packet) => turn((of) => of.judge(packet, moment(), later)),
    ban: (packet, lasts) =>
      turn((of) =>
        of.execute({ command: 'ban', address: addressOf(packet), for: milliseconds(lasts) }, moment(), later),
      ),
    unban(packet) {
      const address = addressOf(packet);
      turn((of) => of.execute({ command: 'unban', address }, moment(), told));
      const targets = [hostCidr(address), ...(address.family === 6 ? [offenderOf(address)] : [])];
      for (const target of targets) say({ what: 'lifted', target, by: 'anyone' });
    },
    unbanAll() {
      say({ what: 'all lifted' });
      sweep('stands', ({ address }) =>
        turn((of) => of.execute({ command: 'unban', address }, moment(), told)),
      );
    },
    grant: (packet, door) =>
      turn((of) => of.execute({ command: 'grant', door, address: addressOf(packet) }, moment(), later)),
    revoke: (packet) =>
      turn((of) =>
        of.execute({ command: 'revoke', address: addressOf(packet), door: 'ssh' }, moment(), later),
      ),
    isBusy: () => carried > clock.now(),
    isPending: (door, grantee) => pending.has(grantKey(door, grantee)),
    line,
    prove,
    member: () => member,
    engine: () => engine,
    now,
    untold: () =>
      [...disk.words.all().registers.values()]
        .flatMap(({ value, untold }) => (untold ? [JSON.stringify(registerFrom(value))] : []))
        .join(),
  };

  /** The kernel's bans that the disk does not know: taken in, but for those that were lifted. */
  function adopted(): readonly Ban[] {
    const lifted = liftedHere(disk.words.all());
    const isLifted = (key: string): boolean => !isLate && (lifted.has(key) || disk.lifted.has(key));
    return [...disk.kernel]
      .filter(([key, { until }]) => !disk.bans.has(key) && !isLifted(key) && until > now())
      .map(([, { target, until }]) => ({ target, since: now(), until, count: 1, origin: 'strikes' }));
  }

  function expire(): void {
    at(clock.now() + 100, () => {
      turn((of) => of.expire(moment(), later));
      expire();
    });
  }
}

const COMMITTED: ReadonlySet<EngineEvent['event']> = new Set([
  ...(['ban.added', 'ban.extended', 'ban.lifted', 'ban.expired'] as const),
  ...(['door.opened', 'door.renewed', 'door.closed'] as const),
]);

function isBanOrDoor(event: EngineEvent): event is BanOrDoor {
  return COMMITTED.has(event.event);
}

function isOpening(event: BanOrDoor): event is Opening {
  return event.event === 'door.opened' || event.event === 'door.renewed';
}

const isOneTime = ({ door }: { readonly door: string }): boolean => door === ONE_TIME_DOOR;

function addressOf(packet: Packet): Parameters<typeof formatAddress>[0] {
  return {
    family: packet.family,
    a: packet.source0,
    b: packet.source1,
    c: packet.source2,
    d: packet.source3,
  };
}

/** A bus that has what is to be missed left out. */
function busWith(fault: Fault | undefined, bus: Bus): Bus {
  switch (fault) {
    case 'same run':
      return {
        ...bus,
        listen: (listener) => bus.listen({ ...listener, connected: () => listener.connected('1') }),
      };
    case 'untold packets':
      return {
        ...bus,
        claim(request, done) {
          if (request.copies !== null || request.mark.of !== 'spa') bus.claim(request, done);
          else bus.time(() => done({ ok: false, reason: 'not told', unsure: false }));
        },
      };
    case 'doorbells alone':
      return {
        ...bus,
        after: (member, _id, done) => bus.newest(member, (answer) => done(answer.ok ? NOTHING : answer)),
        scan: (member, _, __, done) => bus.newest(member, (answer) => done(answer.ok ? NOTHING : answer)),
      };
    default:
      return bus;
  }
}

const NOTHING = { ok: true, value: { entries: [], next: null } } as const;
