import type { Connection } from '../../src/control/client.ts';
import { type Address, bytesOf, formatAddress, ipv4, ipv6, parseAddress } from '../../src/packet/address.ts';
import { addressOf, placesOf, readdress } from './readdress.ts';
import type { Played } from './stranger.ts';

/**
 * Who plays whom. Every capture is played by sources that the door has not met yet, since what a source did before
 * counts; the events are told with the names of the capture again.
 */
export interface Cast {
  /** A copy of the packet as it goes onto the wire. */
  played(packet: Played): Uint8Array;
  /** The text of a host or network as the capture has it; undefined where it has no part in this play. */
  named(text: string): string | undefined;
}

/** The door's own addresses on the lab's wire. */
export interface Door {
  readonly v4: Address;
  readonly v6: Address;
}

/** 203.0.113.1 to .254, RFC 5737: as many IPv4 sources as the lab has for one life of the door. */
const POOL_V4 = 0xcb00_7100;
const POOL_V4_LAST = 254;
/** 2001:db8:cafe:N::/64, RFC 3849, of which 65,536 are there: taken from a chance beginning on. */
const POOL_V6 = [0x2001_0db8, 0xcafe_0000] as const;

/** Finds sources that the daemon knows nothing of. */
export interface Pool {
  v4(): Promise<Address | undefined>;
  /** The first two words of a network of 64 bits. */
  v6(): readonly [number, number];
}

export function createPool(door: Connection): Pool {
  let next4 = 1;
  let next6 = Math.floor(Math.random() * 0x1_0000);
  return {
    async v4() {
      while (next4 <= POOL_V4_LAST) {
        const address = ipv4((POOL_V4 + next4++) | 0);
        const known = await door.ask({ command: 'explain', address: formatAddress(address) });
        if (known.packets.length === 0 && known.ban === null && known.grants.length === 0) return address;
      }
      return undefined;
    },
    v6() {
      next6 = (next6 + 1) & 0xffff;
      return [POOL_V6[0], POOL_V6[1] | next6];
    },
  };
}

/** Gives every source of the packets one of the lab's. Throws where there are not enough: the door has to begin anew. */
export async function castOf(packets: readonly Played[], pool: Pool, door: Door): Promise<Cast> {
  /** By the capture's host or, of IPv6, its network of 64 bits; and the other way. */
  const forth = new Map<string, readonly number[]>();
  const back = new Map<string, readonly number[]>();
  for (const { bytes } of packets) {
    const key = keyOf(sourceBytes(bytes));
    if (key === '' || forth.has(key)) continue;
    const from = key.split('.').map(Number);
    const to = from.length === 4 ? await nextV4(pool) : bytesOf(ipv6(...pool.v6(), 0, 0)).slice(0, 8);
    forth.set(key, to);
    back.set(to.join('.'), from);
  }
  const exchanged = (
    bytes: readonly number[],
    map: ReadonlyMap<string, readonly number[]>,
  ): number[] | undefined => {
    const prefix = map.get(keyOf(bytes));
    return prefix === undefined ? undefined : [...prefix, ...bytes.slice(prefix.length)];
  };
  return {
    played({ bytes }) {
      const copy = bytes.slice();
      const source = exchanged(sourceBytes(bytes), forth);
      const to = bytesOf(source?.length === 16 ? door.v6 : door.v4);
      if (source !== undefined) readdress(copy, Uint8Array.from(source), Uint8Array.from(to));
      return copy;
    },
    named(text) {
      const [host = '', bits] = text.split('/');
      const address = parseAddress(host);
      if (address === undefined) return undefined;
      const bytes = exchanged(bytesOf(address), back);
      if (bytes === undefined) return undefined;
      return bits === undefined
        ? formatAddress(addressOf(bytes))
        : `${formatAddress(addressOf(bytes))}/${bits}`;
    },
  };
}

async function nextV4(pool: Pool): Promise<readonly number[]> {
  const address = await pool.v4();
  if (address === undefined) {
    throw new Error(
      `the lab has ${POOL_V4_LAST} IPv4 sources, and the door has met all of them: take the lab down with its volumes and up again`,
    );
  }
  return bytesOf(address);
}

function sourceBytes(packet: Uint8Array): readonly number[] {
  const places = placesOf(packet);
  return places === undefined ? [] : [...packet.subarray(places.source, places.source + places.bytes)];
}

/** Offences and bans are counted by the host of IPv4, by the network of 64 bits of IPv6. */
function keyOf(bytes: readonly number[]): string {
  return (bytes.length === 16 ? bytes.slice(0, 8) : bytes).join('.');
}
