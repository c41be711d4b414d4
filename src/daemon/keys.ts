import type { Clock } from '../clock.ts';
import type { KeyRow } from '../control/answers.ts';
import type { Engine } from '../engine/engine.ts';
import type { CodeKnocked, Emit, EngineEvent, NfknockEvent } from '../engine/event.ts';
import { acceptanceOf, type KeyPacket, keyCounts } from '../engine/key-events.ts';
import type { Outcome } from '../engine/outcome.ts';
import type { GrantView } from '../engine/views.ts';
import { guarded } from '../guard/guard.ts';
import type { KeysReading } from '../metrics/registry.ts';
import type { Packet } from '../packet/packet.ts';
import { type Port, PROTOCOL_NUMBER } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';
import { admit, claimRejection } from '../spa/admit.ts';
import { arrivalOf, payloadOf, type Arrival as SpaArrival } from '../spa/arrival.ts';
import { holderOf, type Key, type KeyFile } from '../spa/key.ts';
import type { Proven } from '../spa/proof.ts';
import { beyondHolders, detailOf, engineRefusal, type Refused, refusal } from '../spa/refusal.ts';
import type { Usage } from '../spa/usage.ts';
import type { Claim } from '../spa/used-once.ts';
import type { StateChange, Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import { createClaims } from './claim.ts';
import { createCodes } from './codes.ts';
import { gathered } from './gathered.ts';
import { createHeldKeys, type HeldKeysOptions } from './held-keys.ts';

/*
 * What comes of packets to the ports of keys:
 *
 *   prove ─▶ admit ─▶ claim: used once ─▶ engine: authorize ─▶ effects: durable with what was used, in force, announced
 *
 * What no key proves is judged as if the port had no keys, so that nothing tells it from its neighbours. Nothing of a
 * packet is ever said but what its key's file says, the address it came from and the port it came to.
 */

export interface Keys {
  /** Takes the file in at the start. `stood`: rules of an earlier daemon are there, so keys may have opened before. */
  begin(file: KeyFile, stood: boolean): void;
  /** Another file is in force, or another configuration. */
  replace(file: KeyFile): void;
  /** Whether a key proves a packet; what comes of it is under way then. */
  prove(packet: Packet, at: Milliseconds): boolean;
  /** A code has been knocked, whole; what comes of it is under way then. */
  judgeCode(knocked: CodeKnocked): void;
  /** Takes a key out at once; answers the grants that this ended, or undefined where there is none of that name. */
  revoke(name: string): readonly GrantView[] | undefined;
  /** Ends grants whose key may not have them any more. Answers with them. */
  look(): readonly GrantView[];
  rows(): readonly KeyRow[];
  reading(): KeysReading;
  /** To be called once a second. */
  tick(): void;
  /** Resolves once every packet proven so far has come to its end. */
  drained(): Promise<void>;
  /** What an opening has used up. */
  usedBy(event: object): readonly StateChange[];
  /** What is said of the packet that an event came of. */
  acceptanceOf(event: EngineEvent): NfknockEvent | undefined;
}

export interface KeysOptions {
  readonly clock: Clock;
  readonly engine: Pick<Engine, 'execute' | 'ban' | 'eachGrant'>;
  readonly store: Pick<Store, 'uses' | 'onLateUses' | 'seen' | 'write'>;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly config: () => Config;
  readonly inFleet?: HeldKeysOptions['inFleet'];
  readonly collect: Emit;
  readonly carryOut: () => void;
  /** So many packets were not looked into in the last second, since the budget was spent. */
  readonly overBudget: (count: number) => void;
  /** What has become of a packet. */
  readonly settle: (packet: Packet, outcome: Outcome, at: Milliseconds) => void;
}

/** A packet on its way. */
interface Arrival {
  readonly packet: Packet;
  readonly spa: SpaArrival;
}

interface Note extends KeyPacket {
  readonly changes: readonly StateChange[];
}

export function createKeys(options: KeysOptions): Keys {
  const { clock, engine, store, announcer, config, collect, carryOut, settle } = options;
  const held = createHeldKeys(options);
  const unproven = new Map<Port, number>();
  const notes = new WeakMap<object, Note>();
  const claims = createClaims();
  let overloaded = 0;
  const carryOutSoon = gathered(carryOut);
  const codes = createCodes({ ...options, held, claims });

  function prove(packet: Packet, at: Milliseconds): boolean {
    const port = packet.port as Port;
    if (packet.protocol !== PROTOCOL_NUMBER.udp || !held.ports().includes(port)) return false;
    const spa = arrivalOf(packet, at, clock.wall());
    const payload = payloadOf(packet);
    const proof = payload && held.ring().prove({ ...spa, payload });
    if (proof?.outcome !== 'proven') {
      unproven.set(port, (unproven.get(port) ?? 0) + 1);
      return false;
    }
    judge(proof, { packet: { ...packet }, spa });
    return true;
  }

  function judge(proven: Proven, arrival: Arrival): void {
    const skew = config().listen.clockSkew;
    const admitted = admission(proven, arrival.spa, config(), held.usage());
    if (admitted.outcome === 'rejected') {
      reject(arrival, admitted);
    } else if (engine.ban(admitted.address)?.origin === 'order') {
      reject(arrival, refusal(admitted.key, 'banned'));
    } else {
      const { wall } = arrival.spa;
      claims.begin(
        () => held.usedOnce().claim(admitted.use, { wall, skew }),
        guarded('keys', (claim: Claim) => {
          if (claim.outcome === 'won') open(arrival, proven, claim.changes);
          else reject(arrival, claimRejection(admitted, claim));
        }),
      );
    }
  }

  /** It is used up by now, whatever comes of it. */
  function open(arrival: Arrival, proven: Proven, changes: readonly StateChange[]): void {
    const { source, port, now, wall } = arrival.spa;
    // While it was asked whether it was used, the key may have been revoked, rotated or changed, or have opened for
    // another packet.
    const taken = held.still(proven.key, proven.by);
    const admitted =
      taken === undefined
        ? refusal(proven.key, 'expired')
        : admission({ ...proven, key: taken }, arrival.spa, config(), held.usage());
    if (!('doors' in admitted)) {
      store.write(changes, clock.wall(), 'machine');
      reject(arrival, admitted);
      return;
    }
    const { key, doors, address } = admitted;
    const all: readonly StateChange[] = [...changes, ...held.note(key, now, wall)];
    const note: Note = { changes: all, source, port: { protocol: 'udp', port } };
    const holder = holderOf(key);
    const emit: Emit = (event) => {
      if (event.event === 'door.opened' || event.event === 'door.renewed') notes.set(event, note);
      collect(event);
    };
    const at = clock.now();
    const answers = doors.map(({ door, for: length }) =>
      engine.execute({ command: 'authorize', door, address, for: length, holder }, at, emit),
    );
    const failed = answers.find(({ ok }) => !ok);
    if (answers.some(({ ok }) => ok)) {
      held.ring().budget.remember(source);
      for (const grant of beyondHolders(engine.eachGrant(), key)) end(grant, 'moved');
      settle(arrival.packet, 'proven', at);
    } else if (failed !== undefined && !failed.ok) {
      store.write(all, clock.wall(), 'machine');
      const { reason } = failed;
      // That everybody may come from there has been said by the engine.
      if (reason === 'everybody') settle(arrival.packet, 'refused', at);
      else reject(arrival, engineRefusal(key, reason));
    }
    carryOut();
  }

  function reject({ packet, spa }: Arrival, rejected: Refused): void {
    const { key, reason, offence } = rejected;
    const holder = holderOf(key);
    const about = { source: spa.source, port: { protocol: 'udp', port: spa.port }, holder } as const;
    const at = clock.now();
    engine.execute({ command: 'reject', ...about, reason, ...detailOf(rejected), offence }, at, collect);
    // At the same moment, by which `explain` finds what was said of a packet.
    settle(packet, reason === 'stale' || reason === 'replayed' ? reason : 'refused', at);
    carryOutSoon();
  }

  function look(): readonly GrantView[] {
    const over = overIn(engine.eachGrant(), held.named, clock.wall());
    for (const grant of over) end(grant, 'key');
    if (over.length > 0) carryOut();
    return over;
  }

  function end({ door, grantee }: GrantView, reason: 'moved' | 'key'): void {
    engine.execute({ command: 'refuse', door, grantee, reason }, clock.now(), collect);
  }

  function tell(event: 'key.added' | 'key.revoked', { name, person }: Key): void {
    announcer.announce({ event, at: clock.now(), key: name, ...(person === null ? {} : { person }) });
  }

  return {
    prove,
    judgeCode: codes.judge,
    look,
    begin: held.begin,
    replace(next) {
      const before = held.file().keys;
      held.take(next);
      const isThere = (keys: readonly Key[], { name }: Key): boolean =>
        keys.some((each) => each.name === name);
      for (const key of before) if (!isThere(next.keys, key)) tell('key.revoked', key);
      for (const key of next.keys) if (!isThere(before, key)) tell('key.added', key);
      look();
    },
    revoke(name) {
      const key = held.named(name);
      if (key === undefined) return undefined;
      held.drop(key);
      tell('key.revoked', key);
      return look();
    },
    rows: () => held.rows([...engine.eachGrant()]),
    reading: () => ({ ...held.reading(), overloaded }),
    tick() {
      const over = held.ring().budget.overload();
      overloaded += over;
      options.overBudget(over);
      for (const event of keyCounts(unproven, over, clock.now())) announcer.announce(event);
      unproven.clear();
      look();
    },
    drained: claims.drained,
    usedBy: (event) => notes.get(event)?.changes ?? codes.usedBy(event),
    acceptanceOf: (event) => acceptanceOf(event, notes.get(event)),
  };
}

/** Grants whose key may not have them any more. Its end may have been set to an earlier moment since. */
function overIn(
  grants: Iterable<GrantView>,
  named: (name: string) => Key | undefined,
  wall: number,
): readonly GrantView[] {
  return [...grants].filter(({ door, holder }) => {
    if (holder === null) return false;
    const key = named(holder.key);
    return !key?.doors.includes(door) || (key.expires !== null && wall >= key.expires);
  });
}

/** Whether what is proven may open what it asks for, by the configuration and the keys as they are now. */
function admission(
  proven: Proven,
  spa: SpaArrival,
  { doors, listen }: Config,
  usage: Usage,
): ReturnType<typeof admit> {
  // Only the payload is not at hand any more, and it has been looked into.
  return admit(proven, { ...spa, payload: new Uint8Array(0) }, { doors, skew: listen.clockSkew, usage });
}
