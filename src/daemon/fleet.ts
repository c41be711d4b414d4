import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { LeftOut } from '../engine/command.ts';
import type { Shared } from '../engine/elsewhere.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import type { Bus, ClaimRequest } from '../fleet/bus.ts';
import type { FleetNews, Heard, Host, Surroundings } from '../fleet/host.ts';
import type { Knocks } from '../fleet/knocks.ts';
import { createMember, type FleetStatus, type Member } from '../fleet/member.ts';
import { guarded } from '../guard/guard.ts';
import type { Address } from '../packet/address.ts';
import type { Config } from '../policy/config.ts';
import type { Fleet } from '../policy/fleet.ts';
import type { UsedOnce } from '../spa/used-once.ts';
import type { Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import type { Consumer } from './consume.ts';
import { warn } from './dependencies.ts';
import { accepts, describeDoors, limitsOf } from './fleet-belief.ts';
import { createDoubts, type Doubt } from './fleet-doubts.ts';
import { createHere } from './fleet-here.ts';
import { createCarrier } from './fleet-host.ts';
import { knockHost } from './fleet-knocks.ts';
import { createLifting, type Lifting } from './fleet-lifting.ts';
import { createMarks } from './fleet-marks.ts';
import { newsEvent, twinWords } from './fleet-news.ts';
import { type ClaimSums, createClaimTally, createFleetOnce } from './fleet-once.ts';
import { keptOf, knownOf, rowsOfDecided } from './fleet-registers.ts';
import { createSayings, type Sayings } from './fleet-sayings.ts';
import { createSweep } from './fleet-sweep.ts';
import { surroundingsOf } from './fleet-timers.ts';

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
  readonly engine: Pick<
    Engine,
    'execute' | 'sizes' | 'ban' | 'grant' | 'grantsOf' | 'eachBan' | 'eachGrant'
  > &
    Shared;
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
  readonly knocks: Knocks;
  usedOnce(own: UsedOnce): UsedOnce;
  consumer(own: Consumer): Consumer;
  /** Connects. What was kept from before is in force already. */
  start(): void;
  /** Waits until everything that others have said is carried out, at most so long; answers whether it is. */
  joined(wait: number): Promise<boolean>;
  readonly lifting: Pick<Lifting, 'host' | 'all' | 'isClosed'>;
  /** Whether others hear of bans and lifts. */
  sharesBans(): boolean;
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
  const sweep = createSweep({ engine, isFull: options.isFull, isStopped: () => stopped });
  const sharesBans = (): boolean => fleet().share.includes('bans');
  const isShadow = (): boolean => fleet().accept.bans === 'shadow';
  const here = createHere(() => member);
  const lifting = createLifting({
    ...{ here, grantKnows: (door, grantee) => sayings.grantKnows(door, grantee) },
    ...{ me: started.name, clock, store, engine, carryOut, sweep, sharesBans, isShadow },
    ...{ member: () => member, collect: options.collect, drained: options.drained },
  });
  const carrier = createCarrier({
    ...{ clock, store, engine, carryOut, sweep, collect: options.collect },
    ...{ drained: options.drained, applied: options.applied, doubts },
    bus: () => member.clock,
    current: (said) => here.counts(member.current(said), sayings.grantKnows),
    liftAll: (origin) => lifting.allFor(origin),
    isShadow,
  });
  let stopped = false;
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
  let doors = describeDoors(config().doors, given.secret);

  /** What takes a restart stays as it was at the start; the rest is as the configuration in force says. */
  function fleet(): Fleet {
    const { share, accept, copies, wait } = config().fleet ?? started;
    return { ...started, share, accept, copies, wait };
  }

  const host: Host = {
    apply: guarded('fleet', (heard: Heard) => {
      // Its line is told before a grant is: whoever holds this one must find no door that opens by the same line.
      if (heard.grants.length > 0) marks.flush();
      carrier.apply(heard);
    }),
    told: carrier.told,
    keep: carrier.keep,
    drop: carrier.forget,
    shed(registers) {
      carrier.forget(registers);
      store.write(here.shed(registers), clock.wall(), 'process');
    },
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
        const request: ClaimRequest = { mark, field: Buffer.from(digest, 'hex'), value, copies: null };
        yield request;
      }
    },
    doors: () => doors,
    report: guarded('fleet', (news: FleetNews) => {
      if (news.news === 'twin') return warn({ announcer, clock }, twinWords(started.name));
      announcer.announce(newsEvent(news, clock.now()));
      if (news.news === 'joined') lifting.leftOver();
    }),
  };

  const member: Member = createMember({
    ...{ name: fleet().name, version: options.version, host, surroundings, limits: limitsOf(fleet()) },
    bus: given.openBus(surroundings),
    knocks: knockHost({ fleet, config, engine, collect: options.collect, carryOut }),
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

  const sayings: Sayings = createSayings({
    ...{ member, here },
    share: () => fleet().share,
    grant: ({ door, grantee }) => engine.grant(door, grantee),
  });

  return {
    sayings,
    sharesBans,
    knocks: member.knocks,
    usedOnce: once.usedOnce,
    consumer(own) {
      consumer = own;
      return once.consumer(own);
    },
    start() {
      here.resume(store.fleet());
      member.start({ ...keptOf(store.fleet()), known: knownOf(engine, member.clock) });
      tellOlder(options, member, fleet().share);
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
    lifting,
    changed() {
      doors = describeDoors(config().doors, given.secret);
      const before = bansWere;
      bansWere = fleet().accept.bans;
      member.changed(limitsOf(fleet()), before === 'shadow' && bansWere === 'enforce' ? 'again' : 'read');
    },
    differs: (theirs) =>
      Object.keys(doors).filter((name) => theirs[name] !== undefined && theirs[name] !== doors[name]),
    doubts: doubts.of,
    status: () => ({ ...member.status(), ...claims.sums(), leftOut: carrier.leftOut() }),
    stop() {
      stopped = true;
      carrier.stop();
      member.stop();
    },
  };
}

/** Whom this machine banned and let in before it was in a fleet; once, since later ones may be to hold here alone. */
function tellOlder(
  { engine, store, clock }: Pick<FleetOptions, 'engine' | 'store' | 'clock'>,
  member: Member,
  share: Fleet['share'],
): void {
  if (store.fleet().registers.get(JOINED) !== undefined) return;
  const isOwn = ({ from }: { readonly from?: string | undefined }): boolean => from === undefined;
  const bans = share.includes('bans') ? [...engine.eachBan()].filter(isOwn) : [];
  const grants = share.includes('grants') ? [...engine.eachGrant()].filter(isOwn) : [];
  const registers = [
    ...bans.flatMap(({ target, origin: cause, since, until, count }) =>
      member.registersOf({ what: 'banned', target, cause, since, until, count }),
    ),
    ...grants.flatMap(({ usesLeft: uses, ...grant }) =>
      member.registersOf({ what: 'opened', ...grant, uses }),
    ),
  ];
  const joined = { change: 'register', key: JOINED, value: '', untold: false } as const;
  const kept = member.decide(registers);
  store.write([joined, ...rowsOfDecided(kept, member)], clock.wall(), 'machine');
  member.tell(registers);
}
