import { type Address, sameAddress } from '../packet/address.ts';
import { inRange, type PortSpec } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import type { FwknopNat } from './fwknop-fields.ts';

/** What of a door matters to who asks for ports. */
export type SpaDoor = Pick<Door, 'name' | 'opens' | 'for' | 'forward'>;

/** Ports that can be asked for at once: what is searched doubles with each. */
export const WANTED_PORTS_MAX = 16;

/** A way to cover some of the ports: through how many doors, how many ports they open, and the last of them. */
interface Cover {
  readonly doors: readonly SpaDoor[];
  readonly opened: number;
}

/**
 * The fewest doors that together open all these ports, and of several such choices the one that opens least besides;
 * none where they cannot. `nat`: only doors to this host, which forward the port as it is.
 */
export function doorsFor(
  ports: readonly PortSpec[],
  nat: FwknopNat | null,
  doors: readonly SpaDoor[],
): readonly SpaDoor[] {
  if (ports.length === 0 || ports.length > WANTED_PORTS_MAX) return [];
  if (nat !== null && ports.some(({ port }) => port !== nat.port)) return [];
  const candidates = doors
    .filter((door) => nat === null || forwardsTo(door, nat.host))
    .map((door) => ({ door, bits: bitsOf(door, ports) }))
    .filter(({ bits }) => bits !== 0);
  const all = 2 ** ports.length - 1;
  const best: (Cover | undefined)[] = [{ doors: [], opened: 0 }];
  // A door only adds bits, so that every set is reached from smaller ones.
  for (let bits = 0; bits < all; bits += 1) {
    const from = best[bits];
    if (from === undefined) continue;
    for (const { door, bits: more } of candidates) {
      const to = bits | more;
      const cover = { doors: [...from.doors, door], opened: from.opened + portCount(door) };
      if (to !== bits && isBetter(cover, best[to])) best[to] = cover;
    }
  }
  return best[all]?.doors ?? [];
}

function forwardsTo(door: SpaDoor, host: Address): boolean {
  return door.forward !== null && sameAddress(door.forward.to.address, host);
}

/** Which of the ports a door opens, a bit for each. */
function bitsOf(door: SpaDoor, ports: readonly PortSpec[]): number {
  return ports.reduce(
    (bits, port, index) => (door.opens.some((range) => inRange(range, port)) ? bits | (1 << index) : bits),
    0,
  );
}

function portCount(door: SpaDoor): number {
  return door.opens.reduce((count, { first, last }) => count + last - first + 1, 0);
}

function isBetter(cover: Cover, than: Cover | undefined): boolean {
  if (than === undefined || cover.doors.length < than.doors.length) return true;
  return cover.doors.length === than.doors.length && cover.opened < than.opened;
}
