import { type Address, isLoopback, sameAddress } from '../packet/address.ts';
import { type Cidr, contains, hostCidr } from '../packet/cidr.ts';
import type { Packet } from '../packet/packet.ts';

/** Addresses of this machine that a replay can learn; with more, a network has to be named. */
export const LOCAL_ADDRESSES_MAX = 4096;
/** Twice the addresses, so that a search ends soon; a power of two. */
const SLOTS = LOCAL_ADDRESSES_MAX * 2;
const KEY_WORDS = 5;

/** Which addresses are this machine's. */
export interface LocalAddresses {
  isSource(packet: Packet): boolean;
  isDestination(packet: Packet): boolean;
  /** False where there is no room left. */
  add(address: Address): boolean;
  /** The networks it began with, then the addresses in the order in which they were added. */
  list(): readonly Cidr[];
}

/** `networks` are this machine's from the beginning. */
export function createLocalAddresses(networks: readonly Cidr[]): LocalAddresses {
  const keys = new Int32Array(SLOTS * KEY_WORDS);
  const added: Cidr[] = [];

  /** Where the address is, or the free slot where it belongs. */
  const slotOf = (family: number, a: number, b: number, c: number, d: number): number => {
    let slot = hashOf(family, a, b, c, d) & (SLOTS - 1);
    for (;;) {
      const at = slot * KEY_WORDS;
      if (keys[at] === 0) return slot;
      if (
        keys[at + 1] === a &&
        keys[at + 2] === b &&
        keys[at + 3] === c &&
        keys[at + 4] === d &&
        keys[at] === family
      ) {
        return slot;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
  };
  const has = (family: 4 | 6, a: number, b: number, c: number, d: number): boolean => {
    if (keys[slotOf(family, a, b, c, d) * KEY_WORDS] !== 0) return true;
    return networks.length > 0 && networks.some((network) => contains(network, { family, a, b, c, d }));
  };

  return {
    isSource: ({ family, source0, source1, source2, source3 }) =>
      has(family, source0, source1, source2, source3),
    isDestination: ({ family, destination0, destination1, destination2, destination3 }) =>
      has(family, destination0, destination1, destination2, destination3),
    add(address) {
      const { family, a, b, c, d } = address;
      if (has(family, a, b, c, d)) return true;
      if (added.length === LOCAL_ADDRESSES_MAX) return false;
      keys.set([family, a, b, c, d], slotOf(family, a, b, c, d) * KEY_WORDS);
      added.push(hostCidr(address));
      return true;
    },
    list: () => [...networks, ...added],
  };
}

/** An address that somebody opened connections to. */
export interface Receiver {
  readonly address: Address;
  /** The first who did. */
  readonly caller: Address;
  /** Whether anybody else did. */
  others: boolean;
}

/**
 * Which of those that were called are this machine's. One that only a single caller called, where that caller
 * was itself called by somebody else, is a peer that this machine called. Loopback counts only where there is
 * nothing else, since the rules leave `lo` alone.
 */
export function localOf(receivers: readonly Receiver[]): Address[] {
  const answering = receivers.filter((receiver) => {
    if (receiver.others) return true;
    const caller = receivers.find(({ address }) => sameAddress(address, receiver.caller));
    return caller === undefined || !(caller.others || !sameAddress(caller.caller, receiver.address));
  });
  const addresses = answering.map(({ address }) => address);
  const remote = addresses.filter((address) => !isLoopback(address));
  return remote.length > 0 ? remote : addresses;
}

function hashOf(family: number, a: number, b: number, c: number, d: number): number {
  let hash = family;
  for (const word of [a, b, c, d]) {
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
