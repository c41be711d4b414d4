import type { Engine } from '../engine/engine.ts';
import type { Emit, EngineEvent, NfknockEvent } from '../engine/event.ts';
import { acceptanceOf, type KeyPacket, keyCounts } from '../engine/key-events.ts';
import type { Packet } from '../packet/packet.ts';
import { type Port, PROTOCOL_NUMBER } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';
import { type Accepted, admit, claimRejection } from '../spa/admit.ts';
import { type Arrival, arrivalOf, payloadOf } from '../spa/arrival.ts';
import { holderOf, type KeyFile } from '../spa/key.ts';
import { createKeyring } from '../spa/keyring.ts';
import { beyondHolders, detailOf, engineRefusal, type Refused } from '../spa/refusal.ts';
import { createSeen } from '../spa/seen.ts';
import { createUsage } from '../spa/usage.ts';

/** What a replay knows of keys: their file, or why it can't be looked into. */
export type ReplayKeyFile =
  | { readonly file: KeyFile }
  /** In words for people. */
  | { readonly file: null; readonly reason: string };

/** Packets to the ports of keys, as src/daemon/keys.ts takes them; what was used is remembered in memory alone. */
export interface ReplayKeys {
  /** Whether the packet goes the way of keys, whatever it is. */
  takes(packet: Packet): boolean;
  /** Whether a key proves it; then it has come to its end. */
  prove(packet: Packet, now: Milliseconds): boolean;
  /** Says what is due by now of packets that no key proves; what has ended before is said before. */
  expire(now: Milliseconds): void;
  /** Says what was counted and not yet said. */
  end(now: Milliseconds): void;
  /** What is to be said of the packet that an event came of. */
  acceptanceOf(event: EngineEvent): NfknockEvent | undefined;
  /** Packets that could not be looked into. */
  leftOut(): number;
}

export interface ReplayKeysOptions {
  readonly config: Config;
  readonly keys: ReplayKeyFile;
  readonly engine: () => Pick<Engine, 'execute' | 'expire' | 'eachGrant'>;
  readonly emit: Emit;
  readonly say: (event: NfknockEvent) => void;
}

const COUNTED_EACH = 1_000;
const NO_KEYS: KeyFile = { realms: [], keys: [] };

export function createReplayKeys({ config, keys, engine, emit, say }: ReplayKeysOptions): ReplayKeys {
  const { spa, clockSkew: skew } = config.listen;
  const ports: readonly number[] = spa;
  const ring = createKeyring(keys.file ?? NO_KEYS, spa);
  const usage = createUsage(new Map());
  const seen = createSeen();
  const unproven = new Map<Port, number>();
  let due = Number.POSITIVE_INFINITY;
  let leftOut = 0;
  /** The packet that opens a door just now. */
  let opening: KeyPacket | undefined;

  function prove(packet: Packet, now: Milliseconds): boolean {
    const payload = payloadOf(packet);
    if (keys.file === null && payload !== undefined) leftOut += 1;
    const arrival = arrivalOf(packet, now, now);
    const proof = payload && ring.prove({ ...arrival, payload });
    if (proof?.outcome !== 'proven') {
      unproven.set(arrival.port, (unproven.get(arrival.port) ?? 0) + 1);
      due = Math.min(due, now + COUNTED_EACH);
      return false;
    }
    const admitted = admit(proof, { ...arrival, payload: NOTHING }, { doors: config.doors, skew, usage });
    if (admitted.outcome === 'rejected') {
      reject(arrival, admitted);
      return true;
    }
    const claim = seen.decide(admitted.use, { wall: now, skew });
    if (claim.outcome === 'won') open(arrival, admitted);
    else reject(arrival, claimRejection(admitted, claim));
    return true;
  }

  function open(arrival: Arrival, accepted: Accepted): void {
    const { key, doors, address } = accepted;
    const { now } = arrival;
    const holder = holderOf(key);
    usage.note(key, now, now);
    opening = { source: arrival.source, port: { protocol: 'udp', port: arrival.port } };
    const answers = doors.map(({ door, for: length }) =>
      engine().execute({ command: 'authorize', door, address, for: length, holder }, now, emit),
    );
    opening = undefined;
    const failed = answers.find(({ ok }) => !ok);
    if (answers.some(({ ok }) => ok)) {
      ring.budget.remember(arrival.source);
      for (const { door, grantee } of beyondHolders(engine().eachGrant(), key))
        engine().execute({ command: 'refuse', door, grantee, reason: 'moved' }, now, emit);
    } else if (failed !== undefined && !failed.ok && failed.reason !== 'everybody') {
      reject(arrival, engineRefusal(key, failed.reason));
    }
  }

  function reject({ source, port, now }: Arrival, refused: Refused): void {
    const { key, reason, offence } = refused;
    const holder = holderOf(key);
    const about = { source, port: { protocol: 'udp', port }, holder, reason, offence } as const;
    engine().execute({ command: 'reject', ...about, ...detailOf(refused) }, now, emit);
  }

  function sayCounts(at: number): void {
    due = Number.POSITIVE_INFINITY;
    for (const event of keyCounts(unproven, ring.budget.overload(), milliseconds(at))) say(event);
    unproven.clear();
  }

  return {
    prove,
    takes: ({ protocol, port }) => protocol === PROTOCOL_NUMBER.udp && ports.includes(port),
    expire(now) {
      if (now < due) return;
      engine().expire(milliseconds(due), emit);
      sayCounts(due);
    },
    end: sayCounts,
    leftOut: () => leftOut,
    acceptanceOf: (event) => acceptanceOf(event, opening),
  };
}

/** Only the payload is not at hand any more, and it has been looked into. */
const NOTHING = new Uint8Array(0);
