import { type Address, type Family, sameAddress } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, HOST_BITS, OFFENDER_BITS } from '../packet/cidr.ts';
import { GRANTS_MAX } from '../policy/limits.ts';
import { createDeadlines } from './deadlines.ts';
import type { Grantee, Holder } from './event.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

export interface Grant {
  readonly door: number;
  readonly grantee: Grantee;
  /** Who knocked for it, or was named when it was given by hand. */
  source: Address;
  readonly since: number;
  /** The last opening or renewal. */
  opened: number;
  /** Change it with `Grants.extend` only. */
  until: number;
  usesLeft: number | null;
  reason: string | null;
  /** Whose key it rests on; null: it was knocked for, or given by hand. */
  holder: Holder | null;
  /** The member of the fleet that it was earned at; without: here. */
  from?: string | undefined;
}

/**
 * The grants in force, at most GRANTS_MAX. Grants are few and made by people who know a sequence, so plain
 * objects serve; only the question that every packet asks ("does this source hold one?") is made quick.
 */
export interface Grants {
  size(): number;
  find(door: number, grantee: Grantee): Grant | undefined;
  /** False where GRANTS_MAX is reached. */
  add(grant: Grant): boolean;
  /** Someone else knocked for the same grant: it is his now as well as the network's. */
  claim(grant: Grant, source: Address): void;
  remove(grant: Grant): void;
  /** The grants that the subject holds: it knocked for them, or they are to a host or network that has it. */
  heldBy(subject: Subject): readonly Grant[];
  /** Whether some host of this IPv6 /64 holds a grant. */
  isHeldIn(a: number, b: number): boolean;
  ofDoor(door: number): readonly Grant[];
  all(): readonly Grant[];
  /** The grants one by one. They may come and go while they are walked. */
  walk(): Iterable<Grant>;
  /** The grant that ends first. */
  first(): Grant | undefined;
  deadline(): number;
  extend(grant: Grant, until: number): void;
}

const NOBODY: readonly Grant[] = [];

export function createGrants(): Grants {
  const byKey = new Map<string, Grant>();
  const byHost = new Map<string, Grant[]>();
  /** A first word that some holder has: most packets end at this question, without a string being built. */
  const words = new Map<number, number>();
  /** The IPv6 /64s that holders are in, by the first word and the second: how many holders. */
  const neighbourhoods = new Map<number, Map<number, number>>();
  const slots: (Grant | undefined)[] = [];
  const slotOf = new Map<Grant, number>();
  const freed: number[] = [];
  const deadlines = createDeadlines(GRANTS_MAX);
  let networks: Grant[] = [];

  function enrol(host: Address, grant: Grant): void {
    const key = hostKey(host.family, host.a, host.b, host.c, host.d);
    byHost.set(key, [...(byHost.get(key) ?? []), grant]);
    words.set(host.a, (words.get(host.a) ?? 0) + 1);
    if (host.family === 6) settle(host, 1);
  }

  function settle({ a, b }: Address, more: 1 | -1): void {
    const ofWord = neighbourhoods.get(a) ?? new Map<number, number>();
    neighbourhoods.set(a, ofWord);
    const holders = (ofWord.get(b) ?? 0) + more;
    if (holders > 0) ofWord.set(b, holders);
    else ofWord.delete(b);
    if (ofWord.size === 0) neighbourhoods.delete(a);
  }

  function strikeOff(host: Address, grant: Grant): void {
    const key = hostKey(host.family, host.a, host.b, host.c, host.d);
    const rest = (byHost.get(key) ?? []).filter((each) => each !== grant);
    if (rest.length === 0) byHost.delete(key);
    else byHost.set(key, rest);
    const left = (words.get(host.a) ?? 0) - 1;
    if (left <= 0) words.delete(host.a);
    else words.set(host.a, left);
    if (host.family === 6) settle(host, -1);
  }

  return {
    size: () => byKey.size,
    find: (door, grantee) => byKey.get(grantKey(door, grantee)),
    add(grant) {
      if (byKey.size >= GRANTS_MAX) return false;
      byKey.set(grantKey(grant.door, grant.grantee), grant);
      for (const host of holdersOf(grant)) enrol(host, grant);
      if (isNetwork(grant.grantee)) networks.push(grant);
      const slot = freed.pop() ?? slots.length;
      slots[slot] = grant;
      slotOf.set(grant, slot);
      deadlines.set(slot, grant.until);
      return true;
    },
    claim(grant, source) {
      for (const host of holdersOf(grant)) strikeOff(host, grant);
      grant.source = source;
      for (const host of holdersOf(grant)) enrol(host, grant);
    },
    remove(grant) {
      byKey.delete(grantKey(grant.door, grant.grantee));
      for (const host of holdersOf(grant)) strikeOff(host, grant);
      networks = networks.filter((each) => each !== grant);
      const slot = slotOf.get(grant);
      if (slot === undefined) return;
      slotOf.delete(grant);
      slots[slot] = undefined;
      freed.push(slot);
      deadlines.remove(slot);
    },
    heldBy(subject) {
      const { family, a, b, c, d } = subject;
      if (byKey.size === 0 || (networks.length === 0 && !words.has(a))) return NOBODY;
      const own = byHost.get(hostKey(family, a, b, c, d)) ?? NOBODY;
      if (networks.length === 0) return own;
      const host = { family, a, b, c, d };
      const covering = networks.filter((grant) => !own.includes(grant) && covers(grant.grantee, host));
      return covering.length === 0 ? own : [...own, ...covering];
    },
    isHeldIn(a, b) {
      if (byKey.size === 0) return false;
      if (neighbourhoods.get(a)?.has(b) === true) return true;
      return networks.some(({ grantee }) => grantee !== 'any' && meets(grantee, a, b));
    },
    ofDoor: (door) => [...byKey.values()].filter((grant) => grant.door === door),
    all: () => [...byKey.values()],
    walk: () => byKey.values(),
    first() {
      const slot = deadlines.first();
      return slot === NONE ? undefined : slots[slot];
    },
    deadline: deadlines.time,
    extend(grant, until) {
      grant.until = until;
      const slot = slotOf.get(grant);
      if (slot !== undefined) deadlines.set(slot, until);
    },
  };
}

function hostKey(family: Family, a: number, b: number, c: number, d: number): string {
  return family === 4 ? `${a}` : `${a},${b},${c},${d}`;
}

function grantKey(door: number, grantee: Grantee): string {
  return `${door} ${grantee === 'any' ? 'any' : formatCidr(grantee)}`;
}

/** The hosts that hold a grant one by one: who knocked for it, and the one it is to. */
function holdersOf({ source, grantee }: Grant): readonly Address[] {
  if (grantee === 'any' || grantee.bits !== HOST_BITS[grantee.address.family]) return [source];
  if (sameAddress(grantee.address, source)) return [source];
  return [source, grantee.address];
}

/** A grantee that is neither everyone nor the one host that knocks. */
function isNetwork(grantee: Grantee): grantee is Cidr {
  return grantee !== 'any' && grantee.bits !== HOST_BITS[grantee.address.family];
}

/** Whether a network has an address in common with this IPv6 /64. */
function meets(network: Cidr, a: number, b: number): boolean {
  const { address, bits } = network;
  if (bits > OFFENDER_BITS[6]) return address.family === 6 && address.a === a && address.b === b;
  return contains(network, { family: 6, a, b, c: 0, d: 0 });
}

function covers(grantee: Grantee, host: Address): boolean {
  return grantee !== 'any' && contains(grantee, host);
}
