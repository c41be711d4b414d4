import type { Command } from '../engine/command.ts';
import { createEngine } from '../engine/engine.ts';
import type { Emit, EngineEvent, NfknockEvent } from '../engine/event.ts';
import type { HashKey } from '../engine/hash.ts';
import type { EngineSettings } from '../engine/settings.ts';
import type { Layout } from '../firewall/rules/layout.ts';
import { isLoopback } from '../packet/address.ts';
import { decode, type MalformedReason } from '../packet/decode.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { destinationOf, emptyPacket, reversed, sourceOf } from '../packet/packet.ts';
import { PROTOCOL_NUMBER } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import { createReassembly, isFragment } from '../source/fragments.ts';
import type { CaptureBatch } from '../source/pcap-batch.ts';
import { WAY } from '../source/way.ts';
import { createDirection, FATE } from './direction.ts';
import { createReplayKeys, type ReplayKeyFile } from './keys.ts';
import type { LocalAddresses } from './local.ts';
import type { LookAhead } from './look-ahead.ts';
import { createPortCounts } from './port-counts.ts';
import { createReplayRules } from './rules.ts';

/** What a replay made of the packets so far. */
export interface ReplayCounts {
  /** IP packets of the capture. */
  packets: number;
  /** Of these: handed to the engine. */
  judged: number;
  malformed: number;
  /** Packets that belong to a connection, that this machine sent, or that were for others. */
  established: number;
  sent: number;
  elsewhere: number;
  /** Packets to ports that the rules don't show to the daemon, and those that reached their service. */
  unseen: number;
  accepted: number;
  /** UDP packets that were struck as decoys though a socket of this machine may have waited for them. */
  unasked: number;
  /** Moments of the first and last packet, ms since 1970; NaN before there is one. */
  first: number;
  last: number;
}

/** The live daemon's way of a packet with everything taken away that needs a kernel. */
export interface Replay {
  take(batch: CaptureBatch, count: number): void;
  readonly counts: Readonly<ReplayCounts>;
  /** Says what was counted and not yet said: the capture is over. */
  end(): void;
  /** Datagrams whose fragments never came together. */
  lostFragments(): number;
  /** Packets of keys that could not be looked into. */
  leftOut(): number;
  /** The ports that are not watched and got most packets, at most `limit`, with how many. */
  unwatched(limit: number): readonly (readonly [port: string, count: number])[];
}

export interface ReplaySettings {
  readonly engine: EngineSettings;
  readonly layout: Layout;
  readonly local: LocalAddresses;
  /** Whether an address that receives a SYN becomes this machine's. */
  readonly learn: 'learn' | 'fixed';
  readonly lookAhead: LookAhead | null;
  /** What the engine is to be told after an event. */
  readonly after: (event: EngineEvent) => Command | undefined;
  readonly keys: ReplayKeyFile;
  readonly emit: (event: NfknockEvent) => void;
}

/** Fixed, so that the same capture gives the same events; nobody gains by flooding his own replay. */
const REPLAY_KEY: HashKey = [0x6e666b6e, 0x6f636b21];

const { syn: SYN, ack: ACK } = TCP_FLAG;
const TCP = PROTOCOL_NUMBER.tcp;

export function createReplay(settings: ReplaySettings): Replay {
  const { local, lookAhead } = settings;
  const everyPort = settings.layout.config.decoys === 'all';
  const engine = createEngine(settings.engine, REPLAY_KEY);
  const rules = createReplayRules(settings.layout);
  const direction = createDirection(local);
  const reassembly = createReassembly();
  const packet = emptyPacket();
  const counts = emptyCounts();
  const unwatched = createPortCounts();
  /** Commands that follow from events: carried out once the packet is judged. */
  const commands: Command[] = [];
  let now = milliseconds(0);

  // The kernel's side is in force at once here, so what is emitted is announced at once.
  const emit: Emit = (event: EngineEvent) => {
    rules.note(event);
    if (everyPort && mayBeAnAnswer(event)) counts.unasked++;
    if (event.event !== 'code.knocked') {
      const acceptance = keys.acceptanceOf(event);
      if (acceptance !== undefined) settings.emit(acceptance);
      settings.emit(event);
    }
    const command = settings.after(event);
    if (command !== undefined) commands.push(command);
  };
  const keys = createReplayKeys({
    ...{ config: settings.layout.config, keys: settings.keys, engine: () => engine, emit },
    say: settings.emit,
  });
  const exempt = (): void => {
    engine.execute({ command: 'exempt', networks: local.list() }, now, emit);
  };
  const begin = (stamp: number): void => {
    now = milliseconds(stamp);
    counts.first = stamp;
    exempt();
    lookAhead?.inProgress((each) => {
      if (local.isSource(each)) direction.inProgress(each, now);
      else if (local.isDestination(each)) direction.inProgress(reversed(each), now);
    });
  };
  const malformed = (reason: MalformedReason): void => {
    counts.malformed++;
    engine.malformed(reason, now, emit);
  };
  /** Packets to the ports of keys come before all that a port is else; what no key proves is what it would be. */
  const isProven = (): boolean => {
    if (!keys.takes(packet) || !keys.prove(packet, now)) return false;
    counts.judged++;
    return true;
  };
  const arrived = (): void => {
    if (isProven()) return;
    const treatment = rules.treat(packet);
    if (treatment.judged) {
      counts.judged++;
      engine.judge(packet, now, emit);
      for (let command = commands.shift(); command !== undefined; command = commands.shift())
        engine.execute(command, now, emit);
    }
    if (treatment.accepted) {
      counts.accepted++;
      direction.accepted(packet, now);
      if (treatment.door !== null) {
        engine.execute({ command: 'connected', door: treatment.door, source: sourceOf(packet) }, now, emit);
      }
    } else if (!treatment.judged) {
      counts.unseen++;
      unwatched.add(packet);
    }
  };
  const learn = (): void => {
    if (packet.protocol !== TCP || (packet.flags & (SYN | ACK)) !== SYN) return;
    if (local.isDestination(packet) || local.isSource(packet)) return;
    const address = destinationOf(packet);
    if (!isLoopback(address) && local.add(address)) exempt();
  };
  const take = (bytes: Uint8Array, offset: number, length: number, way: number): void => {
    const wrong = decode(bytes, offset, length, packet);
    // What the rules don't look at (ICMP and the like), and what is for others, is not the daemon's business.
    if (wrong === 'protocol') counts.unseen++;
    else if (wrong !== null) malformed(wrong);
    else {
      if (settings.learn === 'learn' && way <= WAY.inbound) learn();
      const fate = direction.fateOf(packet, way, now);
      if (fate === FATE.arrived) arrived();
      else if (fate === FATE.established) counts.established++;
      else if (fate === FATE.sent) counts.sent++;
      else counts.elsewhere++;
    }
  };

  return {
    counts,
    end: () => keys.end(now),
    lostFragments: () => reassembly.lost(),
    leftOut: keys.leftOut,
    unwatched: unwatched.most,
    take(batch, count) {
      const { bytes, offsets, lengths, fullLengths, stamps, ways } = batch;
      for (let i = 0; i < count; i++) {
        const offset = offsets[i] ?? 0;
        const length = lengths[i] ?? 0;
        const stamp = stamps[i] ?? 0;
        if (Number.isNaN(counts.first)) begin(stamp);
        counts.packets++;
        packet.stamped = stamp !== 0;
        // The engine's clock never steps back, whatever the capture's does.
        if (stamp > now) now = milliseconds(stamp);
        counts.last = now;
        keys.expire(now);
        engine.expire(now, emit);
        if (isCutByLie(bytes, offset, length, fullLengths[i] ?? 0)) malformed('total length');
        else if (isFragment(bytes, offset, length)) {
          const joined = reassembly.add(bytes, offset, length, now);
          if (typeof joined !== 'string') take(joined, 0, joined.length, ways[i] ?? 0);
          else if (joined === 'first missing') malformed('fragment');
          else if (joined === 'broken') take(bytes, offset, length, ways[i] ?? 0);
        } else take(bytes, offset, length, ways[i] ?? 0);
      }
    },
  };
}

/** Live, sockets tell: a capture does not know them. */
function mayBeAnAnswer(event: EngineEvent): boolean {
  if (event.event !== 'decoy.hit' || event.reason === 'service' || event.strikes === undefined) return false;
  const { protocol, port } = event.port;
  return protocol === 'udp' && port >= EPHEMERAL_FIRST && port <= EPHEMERAL_LAST;
}

function emptyCounts(): ReplayCounts {
  return {
    packets: 0,
    judged: 0,
    malformed: 0,
    established: 0,
    sent: 0,
    elsewhere: 0,
    unseen: 0,
    accepted: 0,
    unasked: 0,
    first: Number.NaN,
    last: Number.NaN,
  };
}

/** Whether the packet says that it is longer than what was on the wire; the kernel drops such ones. */
function isCutByLie(bytes: Uint8Array, offset: number, length: number, full: number): boolean {
  const version = (bytes[offset] ?? 0) >>> 4;
  if (version === 4 && length >= 20) return u16(bytes, offset + 2) > full;
  return version === 6 && length >= 40 && u16(bytes, offset + 4) + 40 > full;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
