import { createHmac, randomInt } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { LeftOut } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { DaemonEvent, Emit } from '../engine/event.ts';
import type { Bus, ClaimRequest } from '../fleet/bus.ts';
import type { FleetNews, Host, Surroundings } from '../fleet/host.ts';
import { createMember, type FleetStatus, type Member } from '../fleet/member.ts';
import type { Register } from '../fleet/register.ts';
import { guarded } from '../guard/guard.ts';
import type { Address } from '../packet/address.ts';
import { hostCidr, offenderOf } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import type { Fleet } from '../policy/fleet.ts';
import type { UsedOnce } from '../spa/used-once.ts';
import type { Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import type { Consumer } from './consume.ts';
import { warn } from './dependencies.ts';
import { createDoubts, type Doubt } from './fleet-doubts.ts';
import { createCarrier } from './fleet-host.ts';
import { createMarks } from './fleet-marks.ts';
import { type ClaimSums, createClaimTally, createFleetOnce } from './fleet-once.ts';
import { knownOf, registerFrom } from './fleet-registers.ts';
import { createSayings, rowOfRegister, type Sayings } from './fleet-sayings.ts';

/*
 * This machine's part in a fleet: what it says goes out once it is in force and announced (fleet-sayings.ts), what others
 * say comes in as commands (fleet-host.ts), and what may be used once is asked of all (fleet-once.ts). What is believed,
 * and how registers converge, is src/fleet/; everything that opens or bans goes on being decided here.
 */

/** Between two looks whether everybody's word is known, at the start, in milliseconds. */
const JOIN_LOOK = 20;
const DAY = 86_400_000;
/** Among the registers that are kept: this machine has been in a fleet. It is none, and is said to nobody. */
const JOINED = 'joined';

/** The way to the others, and the secret that all have. */
export interface FleetGiven {
  readonly openBus: (surroundings: Surroundings) => Bus;
  readonly secret: string;
}

export interface FleetOptions {
  readonly given: FleetGiven;
  /** The section as it was at the start. */
  readonly started: Fleet;
  readonly version: string;
  readonly clock: Clock;
  readonly store: Store;
  readonly engine: Pick<Engine, 'execute' | 'sizes' | 'ban' | 'grant' | 'grantsOf' | 'eachBan' | 'eachGrant'>;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly config: () => Config;
  readonly collect: Emit;
  readonly carryOut: () => void;
  readonly drained: () => Promise<void>;
  readonly isFull: () => boolean;
  /** So long after another member had said it something was in force here, in milliseconds. */
  readonly applied: (took: number) => void;
}

export interface FleetLife {
  readonly sayings: Sayings;
  usedOnce(own: UsedOnce): UsedOnce;
  consumer(own: Consumer): Consumer;
  /** Connects. What was kept from before is in force already. */
  start(): void;
  /** Waits until everything that others have said is carried out, at most so long; answers whether it is. */
  joined(wait: number): Promise<boolean>;
  /** Somebody lifted the bans of this host, whatever this machine knows of them; or all. */
  lift(host: Address): void;
  liftAll(): void;
  /** Another configuration is in force. */
  changed(): void;
  /** Of the doors that another member has those which it defines otherwise. */
  differs(theirs: Readonly<Record<string, string>>): readonly string[];
  /** What others said of this host and had no effect here. */
  doubts(host: Address): readonly Doubt[];
  status(): FleetStatus &
    ClaimSums & {
      /** What others said and was believed, and changed nothing here. */
      readonly leftOut: ReadonlyMap<LeftOut, number>;
    };
  stop(): void;
}

export function createFleet(options: FleetOptions): FleetLife {
  const { given, started, clock, store, engine, announcer, config, carryOut } = options;
  const claims = createClaimTally(() => clock.now());
  const surroundings = surroundingsOf(clock);
  const doubts = createDoubts(engine, () => clock.now());
  const carrier = createCarrier({
    ...{ clock, store, engine, carryOut, isFull: options.isFull, collect: options.collect },
    ...{ drained: options.drained, applied: options.applied, doubts },
    bus: () => member.clock,
    isShadow: () => fleet().accept.bans === 'shadow',
  });
  let bansWere = started.accept.bans;
  const marks = createMarks({
    doors: () => config().doors,
    digestOf: (door, line) => Buffer.from(once.digestOf(door, line)).toString('hex'),
    used(door, by, news) {
      warn({ announcer, clock }, `door ${door}: a line of its file was used at ${by}`, door);
      warn({ announcer, clock }, news.warning, door);
      const command = { command: 'sequence', door, knock: news.next } as const;
      consumer?.next(door, news.next);
      engine.execute(command, clock.now(), options.collect);
      carryOut();
    },
    failed: (door, why) => warn({ announcer, clock }, why, door),
  });
  let consumer: Consumer | undefined;
  let doors = describe(config().doors, given.secret);

  /** What takes a restart stays as it was at the start; the rest is as the configuration in force says. */
  function fleet(): Fleet {
    const { share, accept, copies } = config().fleet ?? started;
    return { ...started, share, accept, copies };
  }

  const host: Host = {
    apply: guarded('fleet', carrier.apply),
    told: carrier.told,
    keep: carrier.keep,
    drop: carrier.forget,
    shed: carrier.forget,
    refused: doubts.refused,
    used: guarded('fleet', marks.used),
    oneTimeDoors: () =>
      config()
        .doors.filter(({ knock }) => 'oneTime' in knock)
        .map(({ name }) => name),
    marks: function* () {
      for (const { door, digest } of marks.spent()) {
        const mark = { of: 'used', name: door } as const;
        const value = `${fleet().name} ${randomInt(2 ** 47).toString(16)} - ${Math.floor(member.clock.now())}`;
        const request: ClaimRequest = { mark, field: Buffer.from(digest, 'hex'), value, copies: 0 };
        yield request;
      }
    },
    doors: () => doors,
    report: guarded('fleet', (news: FleetNews) => announcer.announce(eventOf(news, clock))),
  };

  const member: Member = createMember({
    ...{ name: fleet().name, version: options.version, host, surroundings, limits: limitsOf(fleet()) },
    bus: given.openBus(surroundings),
    belief: {
      accepts: (from, register) => accepts(fleet(), from, register),
      longest: () => fleet().accept.longest,
      opensFor: (name) => config().doors.find((door) => door.name === name)?.for,
      tombs: () => config().bans.max + DAY,
    },
  });

  const once = createFleetOnce({
    ...{ member, secret: given.secret, copies: () => fleet().copies },
    keep: (changes) => store.write(changes, clock.wall(), 'machine'),
    hold: ({ door, grantee }) => carrier.hold(door, grantee),
    answered: claims.add,
  });

  const sayings = createSayings({
    member,
    share: () => fleet().share,
    grant: ({ door, grantee }) => engine.grant(door, grantee),
    ended: carrier.ended,
  });

  /** Durable at once, and told when what the same order did here is in force. */
  function say(registers: readonly Register[]): void {
    if (!fleet().share.includes('bans')) return;
    carrier.ended(registers);
    store.write(registers.map(rowOfRegister), clock.wall(), 'machine');
    options
      .drained()
      .then(() => member.tell(registers))
      .catch(() => member.tell(registers));
  }

  return {
    sayings,
    usedOnce: once.usedOnce,
    consumer(own) {
      consumer = own;
      return once.consumer(own);
    },
    start() {
      const own = [...store.fleet().registers.values()].flatMap(({ value, untold }) => {
        const register = registerFrom(value);
        return register === undefined ? [] : [{ register, untold }];
      });
      const untold = own.filter((one) => one.untold).map(({ register }) => register);
      const known = knownOf(engine, member.clock);
      member.start({ own: own.map(({ register }) => register), untold, known });
      tellOlderBans(options, member, fleet().share);
    },
    async joined(wait) {
      const until = clock.now() + wait;
      while (!member.hasJoined()) {
        if (clock.now() >= until) return false;
        await new Promise((resolve) => setTimeout(resolve, JOIN_LOOK));
      }
      await carrier.drained();
      return true;
    },
    lift: (address) =>
      say(
        [hostCidr(address), ...(address.family === 6 ? [offenderOf(address)] : [])].flatMap((target) =>
          member.registersOf({ what: 'lifted', target, by: 'anyone' }),
        ),
      ),
    liftAll: () => say(member.registersOf({ what: 'all lifted' })),
    changed() {
      doors = describe(config().doors, given.secret);
      const before = bansWere;
      bansWere = fleet().accept.bans;
      member.changed(limitsOf(fleet()), before === 'shadow' && bansWere === 'enforce' ? 'again' : 'read');
    },
    differs: (theirs) =>
      Object.keys(doors).filter((name) => theirs[name] !== undefined && theirs[name] !== doors[name]),
    doubts: doubts.of,
    status: () => ({ ...member.status(), ...claims.sums(), leftOut: carrier.leftOut() }),
    stop() {
      carrier.stop();
      member.stop();
    },
  };
}

/** What this machine banned before it was in a fleet; once, since later ones may be to hold here alone. */
function tellOlderBans(
  { engine, store, clock }: Pick<FleetOptions, 'engine' | 'store' | 'clock'>,
  member: Member,
  share: Fleet['share'],
): void {
  if (store.fleet().registers.has(JOINED)) return;
  const older = share.includes('bans') ? [...engine.eachBan()].filter(({ from }) => from === undefined) : [];
  const registers = older.flatMap(({ target, origin: cause, since, until, count }) =>
    member.registersOf({ what: 'banned', target, cause, since, until, count }),
  );
  const joined = { change: 'register', key: JOINED, value: '', untold: false } as const;
  store.write([joined, ...registers.map(rowOfRegister)], clock.wall(), 'machine');
  member.tell(registers);
}

/** A MAC of each door's definition, as far as knocks are judged by it. */
function describe(doors: Config['doors'], secret: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    doors.map((door) => {
      const { onOpen: _open, onClose: _close, ...judged } = door;
      // Files of sequences differ by what is left in them.
      const text = JSON.stringify('oneTime' in door.knock ? { ...judged, knock: 'one-time' } : judged);
      return [door.name, createHmac('sha256', secret).update(text).digest('hex').slice(0, 16)];
    }),
  );
}

function limitsOf({ accept: { each } }: Fleet): Parameters<Member['changed']>[0] {
  const { bans, bansPerSecond, grantsPerMinute } = each;
  return { bans, bansPerSecond, grantsPerMinute };
}

function accepts({ accept }: Fleet, member: string, register: Register): boolean {
  if (accept.from !== 'all' && !accept.from.includes(member)) return false;
  if (register.kind !== 'grant') return accept.bans !== 'none';
  return accept.grants === 'all' || (accept.grants !== 'none' && accept.grants.includes(register.door));
}

function eventOf(news: FleetNews, clock: Clock): DaemonEvent {
  const at = clock.now();
  switch (news.news) {
    case 'joined':
      return { event: 'fleet.joined', at, members: news.members };
    case 'apart':
      return { event: 'fleet.apart', at, reason: news.reason };
    case 'member':
      return { event: 'fleet.member', at, member: news.member, reason: news.reason };
    case 'refused':
      return { event: 'fleet.refused', at, member: news.member, reason: news.reason, count: news.count };
    default:
      return news satisfies never;
  }
}

function surroundingsOf(clock: Clock): Surroundings {
  return {
    now: () => clock.now(),
    wallOffset: () => clock.wall() - clock.now(),
    after(wait, run) {
      const timer = setTimeout(guarded('fleet', run), wait);
      timer.unref();
      return () => clearTimeout(timer);
    },
    random: () => randomInt(2 ** 47) / 2 ** 47,
  };
}
