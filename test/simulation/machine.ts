import type { FleetLift } from '../../src/engine/command.ts';
import { createEngine, type Engine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { DEFAULT_LIMITS } from '../../src/fleet/budget.ts';
import type { Bus, ClaimRequest } from '../../src/fleet/bus.ts';
import { lineDigest } from '../../src/fleet/claim.ts';
import type { Heard, Host, Surroundings } from '../../src/fleet/host.ts';
import { createMember, type Member } from '../../src/fleet/member.ts';
import type { MemoryEngine } from '../../src/fleet/memory-bus.ts';
import type { Happened } from '../../src/fleet/own.ts';
import { covers, type Register, registerKey } from '../../src/fleet/register.ts';
import { formatAddress } from '../../src/packet/address.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { formatPort, type PortSpec } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import type { Random, VirtualClock } from './clock.ts';

/** What outlives the machine: its state file, and which lines of the one-time file are used. */
interface Disk {
  own: Map<string, Register>;
  untold: Map<string, Register>;
  readonly used: Set<string>;
  readonly marks: ClaimRequest[];
  /** What others had said. */
  known: readonly Register[];
  bans: ReturnType<Engine['bans']>;
  grants: ReturnType<Engine['grants']>;
}

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
  readonly trace: (text: string) => void;
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
  /** Lifts begin no new generation. */
  | 'no generations'
  /** What the doorbell lost is not read from the stream. */
  | 'doorbells alone';

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
  member(): Member | undefined;
  engine(): Engine | undefined;
  now(): number;
  untold(): string;
}

export function createMachine(parts: MachineParts): Machine {
  const { name, clock, random, bus, lines, copies, epoch, skew, trace, opened, fault } = parts;
  const disk: Disk = {
    own: new Map(),
    untold: new Map(),
    used: new Set(),
    marks: [],
    known: [],
    bans: [],
    grants: [],
  };
  const digests = lines.map((line) =>
    Buffer.from(lineDigest(SECRET, ONE_TIME_DOOR, line.map(formatPort).join())).toString('hex'),
  );
  const boot = random.between(0, 1e6);
  const now = (): number => clock.now() + boot;
  let life = 0;
  let engine: Engine | undefined;
  let member: Member | undefined;
  let amnesty = false;
  let claiming = false;

  const lineAt = (): number => digests.findIndex((digest) => !disk.used.has(digest));
  const line = (): readonly PortSpec[] => lines[lineAt()] ?? [];

  function surroundings(): Surroundings {
    const made = life;
    return {
      now,
      wallOffset: () => epoch - boot + skew,
      after(wait, run) {
        let off = false;
        clock.at(clock.now() + wait, () => {
          if (!off && made === life) run();
        });
        return () => {
          off = true;
        };
      },
      random: random.next,
    };
  }

  function save(): void {
    if (engine === undefined) return;
    disk.bans = engine.bans();
    if (member !== undefined) disk.known = [...member.states()];
    // A door that is being asked for is not open.
    disk.grants = engine.grants().filter(({ door }) => door !== ONE_TIME_DOOR || !claiming);
  }

  function say(happened: Happened): void {
    if (member === undefined) return;
    const made = member.registersOf(happened);
    const registers = fault === 'no generations' ? made.map((register) => ({ ...register, gen: 0 })) : made;
    for (const register of registers) {
      disk.own.set(registerKey(register), register);
      disk.untold.set(registerKey(register), register);
    }
    member.tell(registers);
  }

  function said(event: EngineEvent): void {
    const fromOthers = 'origin' in event && event.origin !== undefined;
    if (/^(ban|door)/.test(event.event)) trace(`${name} ${JSON.stringify(event)}`);
    if (fromOthers) return;
    switch (event.event) {
      case 'ban.added':
      case 'ban.extended': {
        const { target, until, count, at } = event;
        say({
          what: 'banned',
          target,
          cause: event.reason === 'order' ? 'order' : 'strikes',
          since: at,
          until,
          count,
        });
        return;
      }
      case 'ban.lifted':
        if (event.reason === 'unban' && !amnesty) say({ what: 'lifted', target: event.target, by: 'anyone' });
        return;
      case 'door.opened':
      case 'door.renewed': {
        const { door, grantee, source, until, at } = event;
        if (door === ONE_TIME_DOOR) claim(event);
        else say({ what: 'opened', door, grantee, source, opened: at, until, uses: null });
        return;
      }
      case 'door.closed':
        if (['knock', 'revoked', 'moved', 'used'].includes(event.reason) && event.door !== ONE_TIME_DOOR)
          say({ what: 'closed', door: event.door, grantee: event.grantee });
        return;
      default:
    }
  }

  function use(digest: string): void {
    disk.used.add(digest);
    engine?.execute({ command: 'sequence', door: ONE_TIME_DOOR, knock: line() }, milliseconds(now()), later);
  }

  function claim(event: EngineEvent & { event: 'door.opened' | 'door.renewed' }): void {
    const at = lineAt();
    const digest = digests[at];
    if (member === undefined || digest === undefined) return;
    claiming = true;
    const once = {
      mark: { of: 'used', name: ONE_TIME_DOOR },
      ...{ field: Uint8Array.from(Buffer.from(digest, 'hex')), copies, source: formatAddress(event.source) },
    } as const;
    const { grantee, source, until, at: since } = event;
    member.claim(once, (answer) => {
      trace(`${name} claim of line ${at}: ${JSON.stringify(answer)}`);
      claiming = false;
      const wins = answer.outcome === 'won' || (answer.outcome === 'shut' && fault === 'fails open');
      disk.marks.push({ mark: once.mark, field: once.field, copies: 0, value: `${name} again x 0` });
      if (wins) {
        opened(at);
        say({ what: 'opened', door: ONE_TIME_DOOR, grantee, source, opened: since, until, uses: null });
        member?.tellUsed(ONE_TIME_DOOR, digest);
      } else {
        engine?.execute(
          { command: 'refuse', door: ONE_TIME_DOOR, grantee, reason: 'refused' },
          milliseconds(now()),
          later,
        );
      }
      use(digest);
      save();
    });
  }

  /** Events are carried out after the packet or command that brought them about. */
  const events: EngineEvent[] = [];
  function later(event: EngineEvent): void {
    events.push(event);
  }
  function turn(run: (of: Engine) => void): void {
    if (engine === undefined) return;
    run(engine);
    for (let event = events.shift(); event !== undefined; event = events.shift()) said(event);
    save();
  }

  function apply({ origin, bans, grants, lifts }: Heard): void {
    const clockOf = member?.clock;
    if (clockOf === undefined) return;
    const local = (at: number): ReturnType<typeof milliseconds> => milliseconds(clockOf.toLocal(at));
    turn((of) => {
      const all = lifts.some(({ kind }) => kind === 'amnesty') ? of.bans() : [];
      of.execute(
        {
          ...{ command: 'fleet', origin },
          lifts: [
            ...all.map(({ target }) => ({ lift: 'ban', target, only: 'any' }) as const),
            ...lifts.flatMap((lift): readonly FleetLift[] => {
              if (lift.kind === 'amnesty') return [];
              if (lift.kind === 'ban') return [{ lift: 'ban', target: lift.target, only: 'any' }];
              return [{ lift: 'grant', door: lift.door, grantee: lift.grantee }];
            }),
          ],
          grants: grants.map((grant) => ({
            ...{ door: grant.door, grantee: grant.grantee, source: grant.source, usesLeft: grant.uses },
            ...{ opened: local(grant.opened), until: local(grant.until) },
          })),
          bans: bans.map(({ target, since, until, count, cause }) => ({
            ...{ target, since: local(since), until: local(until), count, origin: cause },
          })),
        },
        milliseconds(now()),
        later,
      );
    });
  }

  const host: Host = {
    apply,
    told(registers) {
      for (const register of registers) {
        const there = disk.untold.get(registerKey(register));
        if (there !== undefined && covers(register, there)) disk.untold.delete(registerKey(register));
      }
    },
    keep(registers) {
      for (const register of registers) {
        disk.own.set(registerKey(register), register);
        disk.untold.set(registerKey(register), register);
      }
    },
    drop(registers) {
      for (const register of registers) disk.own.delete(registerKey(register));
    },
    shed() {},
    refused() {},
    used(door, digest) {
      if (door !== ONE_TIME_DOOR || disk.used.has(digest) || claiming) return;
      trace(`${name} hears that line ${digests.indexOf(digest)} is used`);
      turn(() => use(digest));
    },
    oneTimeDoors: () => [ONE_TIME_DOOR],
    marks: () => disk.marks,
    doors: () => ({ ssh: 'one' }),
    report: (news) => trace(`${name} ${JSON.stringify(news)}`),
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
      claiming = false;
      engine = createEngine(withLine(), [1, 2]);
      engine.execute(
        {
          command: 'restore',
          grants: disk.grants.map(({ from, ...grant }) => ({
            ...grant,
            ...(from === undefined ? {} : { from }),
            since: milliseconds(grant.since),
            until: milliseconds(grant.until),
          })),
          bans: disk.bans.map((ban) => ({
            ...ban,
            since: milliseconds(ban.since),
            until: milliseconds(ban.until),
          })),
          histories: [],
        },
        milliseconds(now()),
        () => {},
      );
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
          limits: DEFAULT_LIMITS,
        },
        belief: { accepts: () => true, longest: () => 7 * 86_400_000, opensFor, tombs: () => 8 * 86_400_000 },
      });
      if (fault === 'forgetful') {
        disk.own = new Map();
        disk.known = [];
        disk.untold = new Map();
      }
      member.start({ own: [...disk.own.values()], untold: [...disk.untold.values()], known: disk.known });
      expire();
    },
    kill() {
      save();
      life += 1;
      member?.stop();
      member = undefined;
      engine = undefined;
      events.length = 0;
    },
    judge: (packet) => turn((of) => of.judge(packet, milliseconds(now()), later)),
    ban: (packet, lasts) =>
      turn((of) =>
        of.execute(
          { command: 'ban', address: addressOf(packet), for: milliseconds(lasts) },
          milliseconds(now()),
          later,
        ),
      ),
    unban: (packet) =>
      turn((of) => of.execute({ command: 'unban', address: addressOf(packet) }, milliseconds(now()), later)),
    unbanAll() {
      amnesty = true;
      turn((of) => of.execute({ command: 'unban_all' }, milliseconds(now()), later));
      amnesty = false;
      say({ what: 'all lifted' });
    },
    grant: (packet, door) =>
      turn((of) =>
        of.execute({ command: 'grant', door, address: addressOf(packet) }, milliseconds(now()), later),
      ),
    revoke: (packet) =>
      turn((of) =>
        of.execute(
          { command: 'revoke', address: addressOf(packet), door: 'ssh' },
          milliseconds(now()),
          later,
        ),
      ),
    line,
    member: () => member,
    engine: () => engine,
    now,
    untold: () => [...disk.untold.values()].map((register) => JSON.stringify(register)).join(),
  };

  function expire(): void {
    const made = life;
    clock.at(clock.now() + 100, () => {
      if (made !== life) return;
      turn((of) => of.expire(milliseconds(now()), later));
      expire();
    });
  }
}

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
