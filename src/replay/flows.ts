import type { Family } from '../packet/address.ts';
import type { Packet } from '../packet/packet.ts';

/** No flow. */
export const NO_FLOW = -1;

/** Flows remembered at once: nf_conntrack_max of a machine with 4 GiB or more. A power of two. */
export const FLOWS_MAX = 262_144;
/** Room to begin with; it grows as flows come, since many captures have few. A power of two. */
const FLOWS_FIRST = 512;
/** How many times larger the table becomes when it grows. */
const GROWTH = 8;
/** Flows that one hash value can lead to. Bounds the work of a lookup, whatever a capture is made of. */
const WAYS = 8;
const KEY_WORDS = 10;
/** The moment of a slot in no use. */
const FREE = 0;

/** Which end of a flow the packet came from: `near` is this machine. */
export type End = 'near' | 'far';

/**
 * A bounded cache of two-way flows, each with a moment until which it holds and eight bits that its owner
 * gives a meaning. Moments are positive. When the table is as large as it may be, a flow that finds no room takes
 * the place of the one that ends first among the eight that share its hash value. A slot is good until the next
 * `add`.
 */
export interface Flows {
  /** The flow of this packet if it holds at `now`, or NO_FLOW. `from` says which end sent it. */
  find(packet: Packet, from: End, now: number): number;
  /** Makes a flow that isn't there yet. */
  add(packet: Packet, from: End, now: number, until: number): number;
  remove(slot: number): void;
  extend(slot: number, until: number): void;
  bits(slot: number): number;
  setBits(slot: number, bits: number): void;
  /** Every flow that was not removed, its ends given as though the near end had sent a packet. */
  each(visit: (packet: Packet, bits: number) => void, scratch: Packet): void;
}

/** `capacity` is a power of two. */
export function createFlows(capacity: number): Flows {
  let room = Math.min(FLOWS_FIRST, capacity);
  let keys = new Int32Array(room * KEY_WORDS);
  let untils = new Float64Array(room);
  let marks = new Uint8Array(room);
  /** Flows added and not removed, those over among them: most floods are looked through without any. */
  let added = 0;
  /** The key of the packet at hand. */
  const key = new Int32Array(KEY_WORDS);

  const load = (packet: Packet, from: End): void => {
    const { sourcePort, port } = packet;
    key[0] = (packet.family << 8) | packet.protocol;
    key[1] = from === 'near' ? (sourcePort << 16) | port : (port << 16) | sourcePort;
    const source = from === 'near' ? 2 : 6;
    const destination = from === 'near' ? 6 : 2;
    key[source] = packet.source0;
    key[source + 1] = packet.source1;
    key[source + 2] = packet.source2;
    key[source + 3] = packet.source3;
    key[destination] = packet.destination0;
    key[destination + 1] = packet.destination1;
    key[destination + 2] = packet.destination2;
    key[destination + 3] = packet.destination3;
  };
  /** The first of the slots where the key at hand can be. */
  const place = (): number => {
    let hash = 0;
    for (let word = 0; word < KEY_WORDS; word++) {
      hash = Math.imul(hash ^ (key[word] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (hash & (room / WAYS - 1)) * WAYS;
  };
  const same = (slot: number): boolean => {
    const at = slot * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) if (keys[at + word] !== key[word]) return false;
    return true;
  };
  /** A slot for the key at hand that nobody needs at `now`, or else the one that ends first. */
  const vacate = (now: number): number => {
    const first = place();
    let slot = first;
    for (let other = first; other < first + WAYS; other++) {
      const until = untils[other] ?? FREE;
      if (until < now) return other;
      if (until < (untils[slot] ?? FREE)) slot = other;
    }
    return slot;
  };
  const put = (slot: number, until: number, bits: number): void => {
    if (untils[slot] === FREE) added++;
    keys.set(key, slot * KEY_WORDS);
    untils[slot] = until;
    marks[slot] = bits;
  };
  const grow = (): void => {
    const before = { keys, untils, marks };
    room = Math.min(room * GROWTH, capacity);
    keys = new Int32Array(room * KEY_WORDS);
    untils = new Float64Array(room);
    marks = new Uint8Array(room);
    added = 0;
    for (const [slot, until] of before.untils.entries()) {
      if (until === FREE) continue;
      key.set(before.keys.subarray(slot * KEY_WORDS, (slot + 1) * KEY_WORDS));
      put(vacate(0), until, before.marks[slot] ?? 0);
    }
  };

  return {
    find(packet, from, now) {
      if (added === 0) return NO_FLOW;
      load(packet, from);
      const first = place();
      for (let slot = first; slot < first + WAYS; slot++) {
        if ((untils[slot] ?? FREE) >= now && same(slot)) return slot;
      }
      return NO_FLOW;
    },
    add(packet, from, now, until) {
      load(packet, from);
      let slot = vacate(now);
      if ((untils[slot] ?? FREE) >= now && room < capacity) {
        grow();
        load(packet, from);
        slot = vacate(now);
      }
      put(slot, until, 0);
      return slot;
    },
    remove(slot) {
      added--;
      untils[slot] = FREE;
    },
    extend(slot, until) {
      untils[slot] = until;
    },
    bits: (slot) => marks[slot] ?? 0,
    setBits(slot, bits) {
      marks[slot] = bits;
    },
    each(visit, scratch) {
      for (const [slot, until] of untils.entries()) {
        if (until === FREE) continue;
        unload(keys.subarray(slot * KEY_WORDS, (slot + 1) * KEY_WORDS), scratch);
        visit(scratch, marks[slot] ?? 0);
      }
    },
  };
}

function unload(key: Int32Array, packet: Packet): void {
  const [kind = 0, ports = 0, s0 = 0, s1 = 0, s2 = 0, s3 = 0, d0 = 0, d1 = 0, d2 = 0, d3 = 0] = key;
  packet.family = (kind >>> 8) as Family;
  packet.protocol = kind & 255;
  packet.sourcePort = ports >>> 16;
  packet.port = ports & 0xffff;
  packet.source0 = s0;
  packet.source1 = s1;
  packet.source2 = s2;
  packet.source3 = s3;
  packet.destination0 = d0;
  packet.destination1 = d1;
  packet.destination2 = d2;
  packet.destination3 = d3;
}
