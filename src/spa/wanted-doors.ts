import { type Address, sameAddress } from '../packet/address.ts';
import { inRange, type PortSpec } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import type { FwknopNat } from './fwknop-fields.ts';

/** What of a door matters to who asks for ports. */
export type SpaDoor = Pick<Door, 'name' | 'opens' | 'for' | 'forward'>;

/** Ports that can be asked for at once: what is searched may double with each. */
export const WANTED_PORTS_MAX = 16;

/** A way to cover some of the ports: the door that came last, those before it, how many, and the ports they open. */
interface Cover {
  readonly door: SpaDoor;
  readonly before: Cover | null;
  readonly count: number;
  readonly opened: number;
}

/** Some door that opens some of the ports, a bit for each, and how many it opens in all. */
interface Candidate {
  readonly door: SpaDoor;
  readonly bits: number;
  readonly opens: number;
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
    .map((door): Candidate => ({ door, bits: bitsOf(door, ports), opens: portCount(door) }))
    .filter(({ bits }) => bits !== 0);
  const chosen = coverOf(ports.length, candidates);
  return doors.filter((door) => chosen.has(door));
}

/**
 * A used packet that anybody sends again comes this far. So only doors that open the first port that is still missing
 * are tried: some door must.
 */
function coverOf(ports: number, candidates: readonly Candidate[]): ReadonlySet<SpaDoor> {
  const all = 2 ** ports - 1;
  const opening = Array.from({ length: ports }, (_, port) =>
    candidates.filter(({ bits }) => (bits & (1 << port)) !== 0),
  );
  const best = new Array<Cover | undefined>(all + 1);
  // A door only adds bits, so that every set is reached from smaller ones.
  for (let bits = 0; bits < all; bits += 1) {
    const before = best[bits] ?? null;
    if (before === null && bits !== 0) continue;
    const missing = 31 - Math.clz32(~bits & -~bits);
    const count = (before?.count ?? 0) + 1;
    for (const { door, bits: more, opens } of opening[missing] ?? []) {
      const opened = (before?.opened ?? 0) + opens;
      if (isBetter(count, opened, best[bits | more])) best[bits | more] = { door, before, count, opened };
    }
  }
  const chosen = new Set<SpaDoor>();
  for (let cover = best[all] ?? null; cover !== null; cover = cover.before) chosen.add(cover.door);
  return chosen;
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

function isBetter(count: number, opened: number, than: Cover | undefined): boolean {
  if (than === undefined || count < than.count) return true;
  return count === than.count && opened < than.opened;
}
