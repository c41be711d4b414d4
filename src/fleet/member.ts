import type { Cidr } from '../packet/cidr.ts';
import type { RefusedReason } from '../policy/fleet.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { Belief } from './belief.ts';
import { type Budget, createBudget, type Limits } from './budget.ts';
import type { Bus } from './bus.ts';
import { createClaims, type Once, type OnceAnswer } from './claim.ts';
import { createEarly, type Unsettled } from './early.ts';
import { createHearing } from './hearing.ts';
import type { Heard, Host, Presence, Surroundings } from './host.ts';
import type { KnockHost } from './knock-host.ts';
import { createKnocks, type Knocks } from './knocks.ts';
import { encode } from './message.ts';
import { askTime, type BusClock, createBusClock } from './offset.ts';
import { type Happened, registersOf } from './own.ts';
import { createPeers, type MemberState } from './peers.ts';
import { createReader } from './reader.ts';
import { createReassertion } from './reassert.ts';
import { createRefusals } from './refusals.ts';
import { type BanRegister, type Register, registerKey } from './register.ts';
import { type KeptWords, resume } from './resume.ts';
import type { InForce, Standing } from './settle.ts';
import { createTeller, type Teller } from './teller.ts';
import { createTraffic, type MessageCount } from './traffic.ts';
import { createView, type View } from './view.ts';
import { createWords } from './words.ts';

/** How often a member says that it is there, asks for the time, and tells again what may have been lost. */
export const HEARTBEAT = 1_000;
/** What happens in so long is told in one message. */
const GATHER = 20;
/** Registers that are looked at in a heartbeat, whether anybody still needs them. */
const SWEPT_AT_ONCE = 4_096;

export interface MemberParts {
  readonly name: string;
  readonly version: string;
  readonly bus: Bus;
  readonly host: Host;
  readonly surroundings: Surroundings;
  readonly belief: Belief;
  readonly limits: Limits;
  readonly knocks: KnockHost;
}

export interface FleetStatus {
  readonly up: boolean;
  /** Since when it is so, on the daemon's clock. */
  readonly since: number;
  readonly reason: string | null;
  readonly offset: number;
  readonly outbox: number;
  /** Knocks that wait for somebody to have a use for them. */
  readonly parked: number;
  readonly shed: number;
  /** What others said and was not believed, by why. */
  readonly refused: ReadonlyMap<RefusedReason, number>;
  readonly messages: readonly MessageCount[];
  /** What the engine refuses this member though it answers; null: nothing. */
  readonly refusal: string | null;
  /** Another machine goes by this member's name. */
  readonly hasTwin: boolean;
  readonly members: readonly MemberState[];
}

/** One machine's part in a fleet. Nothing here throws, whatever comes from the bus. */
export interface Member {
  /** Connects. */
  start(kept: KeptWords): void;
  /** The registers that say what has happened. */
  registersOf(happened: Happened): readonly Register[];
  /**
   * This machine has decided it: from now on what others say is measured by it. To be called in the turn in which it is
   * decided, since what is heard later would be carried out otherwise, or be lifted by what did not know of it. Answers
   * what it comes to with what this machine has said before: that is to be kept.
   */
  decide(registers: readonly Register[]): readonly Register[];
  /** What was made or decided, as it is to be kept: with moments that are right, where the time is known by now. */
  right(registers: readonly Register[]): readonly Register[];
  /** How it is kept while the time is not known. */
  unsettled(register: Register): Unsettled | undefined;
  /** Others are told of what was decided, once it is durable and in force. */
  tell(registers: readonly Register[]): void;
  /** What others said, as far as it counts by now. */
  current(heard: Heard): Heard;
  /** What is known of a ban that is in force here, its end on the daemon's clock. */
  standing(ban: InForce): Standing;
  /** What is to be in force of bans of this target. */
  left(target: Cidr): readonly BanRegister[];
  /** Whether a grant has been closed by a lift that it did not know of; `knows`: the newest that it did. */
  isClosed(door: string, grantee: Grantee, knows: number): boolean;
  claim(once: Once, done: (answer: OnceAnswer) => void): void;
  /** Others are told that a one-time line was used here; the mark has been set before. */
  tellUsed(door: string, digest: string): void;
  /** The configuration of what is believed has changed. `again`: bans that are known were not in force until now. */
  changed(limits: Limits, how: 'read' | 'again'): void;
  /** Everything that all members have said so far is known. */
  hasJoined(): boolean;
  status(): FleetStatus;
  /** The registers as they are known here: what all members agree on. */
  states(): Iterable<Register>;
  stateOf(key: string): Register | undefined;
  readonly clock: BusClock;
  readonly knocks: Knocks;
  stop(): void;
}

export function createMember(parts: MemberParts): Member {
  const { name, host, surroundings } = parts;
  const { now } = surroundings;
  const { bus, last: refusal } = createRefusals(parts.bus);
  const clock = createBusClock(surroundings);
  const budget = withoutSelf(name, createBudget(parts.limits));
  const view = createView(clock, budget, withSelf(name, parts.belief));
  const traffic = createTraffic();
  const claims = createClaims({ member: name, bus, clock, surroundings });
  const shared = { view, host, traffic, now };
  const teller = createTeller({ ...shared, bus, clock, retract: view.retract });
  const told = { ...shared, name, clock, budget, tell: putAll };
  const readUsed = (door: string): void => readMarks(bus, host, door, null);
  const hearing = createHearing({ ...told, reader: () => reader, knocks: () => knocks, readMarks: readUsed });
  const { readMessage, readRows, heard } = hearing;
  const reader = createReader({
    ...{ bus, surroundings, message: readMessage, rows: readRows, finished: announceIfJoined },
  });
  const peers = createPeers({ name, host, clock, budget, reader, now });
  const reassertion = createReassertion({
    ...{ member: name, bus, view, host, surroundings, tell: putAll },
    ...{ drop: teller.drop, carryOut: hearing.carryOut },
  });
  const early = createEarly(view, clock);
  const knocks: Knocks = createKnocks({
    ...{ host: parts.knocks, clock, budget, surroundings, words: createWords({ bus, clock, traffic }) },
    company: () => (!connection.up || !hasSeenAll ? 'down' : peers.isAnyThere() ? 'up' : 'alone'),
    apart: () => clock.uncertainty() + peers.uncertainty(),
    refuse: (from, reason) => hearing.refuse(from, [reason]),
  });
  let run: string | undefined;
  let connection = { up: false, since: now(), reason: 'not connected yet' as string | null };
  const started = clock.now();
  let [isAnnounced, hasBegun, hasSeenAll] = [false, false, false];
  let [gathering, beating]: ((() => void) | undefined)[] = [];

  function putAll(registers: Iterable<Register>): void {
    for (const register of registers) teller.put(register);
    gathering ??= surroundings.after(GATHER, () => {
      gathering = undefined;
      teller.flush();
    });
  }

  function connected(newRun: string): void {
    connection = { up: true, since: now(), reason: null };
    const how = newRun === run ? 'goes on' : 'settles';
    run = newRun;
    claims.connected(how, how === 'settles' ? host.marks() : []);
    reassertion.connected(how);
    beat();
  }

  /** Once the bus's clock is known: by a wall clock that is off, what is in force would be over. */
  function begin(): void {
    hasBegun = true;
    view.correctKept();
    const corrected = early.correct();
    if (corrected.length > 0) host.keep(corrected);
    putAll(corrected);
    teller.connected();
    reassertion.begin();
    for (const member of peers.names()) reader.catchUp(member);
    for (const door of host.oneTimeDoors()) readUsed(door);
    sayPresence();
  }

  function disconnected(reason: string): void {
    connection = { up: false, since: connection.up ? now() : connection.since, reason };
    teller.disconnected();
    claims.disconnected();
    reader.disconnected();
    reassertion.disconnected();
    if (isAnnounced) host.report({ news: 'apart', reason });
    [isAnnounced, hasBegun, hasSeenAll] = [false, false, false];
  }

  function beat(): void {
    beating?.();
    beating = surroundings.after(HEARTBEAT, beat);
    hearing.beat();
    peers.noticeLost();
    if (clock.isKnown()) forgetSome(view, host, teller);
    if (!connection.up) return;
    teller.flush();
    if (hasBegun) sayPresence();
    askTime({ bus, clock, now }, () => hasBegun || begin());
  }

  function sayPresence(): void {
    const own = peers.say(presenceOf({ ...parts, clock, started }, teller, view));
    bus.present(own, (answer) => {
      if (!answer.ok) return;
      peers.meet(answer.value);
      hasSeenAll = true;
      announceIfJoined();
    });
  }

  function hasJoined(): boolean {
    return connection.up && hasSeenAll && peers.names().every(reader.hasRead);
  }

  function announceIfJoined(): void {
    if (isAnnounced || !hasJoined()) return;
    isAnnounced = true;
    host.report({ news: 'joined', members: [name, ...peers.names()].sort() });
  }

  return {
    start(kept) {
      resume(kept, { view, early, put: teller.put });
      // What is heard before the time is known is read once it can be judged.
      bus.listen({ connected, disconnected, heard: (of, message) => hasBegun && heard(of, message) });
      beat();
    },
    registersOf: (happened) => early.made(registersOf(happened, view, clock)),
    decide: (registers) => early.decide(registers, host.keep),
    right: early.right,
    unsettled: early.unsettled,
    // As it is by now: its moments may have been put right, and it may have been decided otherwise.
    tell: (registers) => putAll(registers.flatMap((register) => view.ownOf(registerKey(register)) ?? [])),
    ...{ current: view.current, isClosed: view.isClosed, standing: view.standing, left: view.left },
    claim: claims.claim,
    tellUsed(door, digest) {
      traffic.count('out', 'used');
      bus.ring(encode({ kind: 'used', number: 0, time: clock.now(), records: [{ door, digest }] }));
    },
    changed(limits, how) {
      budget.change(limits);
      reader.anew(how);
    },
    hasJoined,
    status: () => ({
      ...{ ...connection, offset: clock.offset(), refusal: refusal() },
      ...{ members: peers.states(), hasTwin: peers.hasTwin() },
      ...{ outbox: teller.waiting(), parked: knocks.parked(), shed: teller.shed() },
      ...{ refused: hearing.refusals(), messages: traffic.counts() },
    }),
    ...{ states: view.states, stateOf: view.stateOf },
    clock,
    knocks,
    stop() {
      knocks.stop();
      for (const callOff of [gathering, beating]) callOff?.();
      reassertion.disconnected();
      bus.close();
    },
  };
}

function presenceOf(
  of: MemberParts & { readonly clock: BusClock; readonly started: number },
  teller: Teller,
  view: View,
): Presence {
  const { clock, version, started, host } = of;
  const about = { version, started, now: clock.now(), number: teller.number(), doors: host.doors() };
  const offset = clock.offset() - of.surroundings.wallOffset();
  return { ...about, offset, uncertainty: clock.uncertainty(), ...view.ownCounts() };
}

/** Some of what nobody needs any more. */
function forgetSome(view: View, host: Host, teller: Teller): void {
  const gone = view.sweep(SWEPT_AT_ONCE);
  if (gone.length > 0) host.drop(gone);
  teller.drop(gone);
}

/** The lines of a one-time door that were used anywhere. */
function readMarks(bus: Bus, host: Host, door: string, cursor: string | null): void {
  bus.marks(door, cursor, (answer) => {
    if (!answer.ok) return;
    for (const { field, value } of answer.value.entries)
      host.used(door, Buffer.from(field).toString('hex'), value.split(' ')[0] ?? '');
    if (answer.value.next !== null) readMarks(bus, host, door, answer.value.next);
  });
}

/** What this member itself had said is believed, whatever is believed of others. */
function withSelf(name: string, belief: Belief): Belief {
  return { ...belief, accepts: (member, register) => member === name || belief.accepts(member, register) };
}

/** Its own words, read on the bus after its state file was lost, cost it nothing. */
function withoutSelf(name: string, budget: Budget): Budget {
  return { ...budget, admits: (member, ...of) => (member === name ? 'yes' : budget.admits(member, ...of)) };
}
