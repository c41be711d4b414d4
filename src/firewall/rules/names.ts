import { createHash } from 'node:crypto';
import type { Family } from '../../packet/address.ts';
import { isDoorName } from '../../policy/door-name.ts';

/** The tables that nfknock has chains in. */
export type Table = 'filter' | 'nat' | 'mangle';

/** In the order in which rules are laid: what closes first. Taken out they are in the opposite order. */
export const TABLES: readonly Table[] = ['filter', 'nat', 'mangle'];

/** The chains that nfknock owns; all else in the tables belongs to the administrator. */
export const CHAIN = {
  /** Jumped to from INPUT: established, bans, allow, services, knocks and decoys, in this order. */
  input: 'NFKNOCK',
  /** Drops who is banned: the one rule here names a set. */
  ban: 'NFKNOCK-BAN',
  /** Packets to protected services of this machine. */
  service: 'NFKNOCK-SERVICE',
  /** One ACCEPT rule a grant. */
  grant: 'NFKNOCK-GRANT',
  /** Handed to the daemon, then dropped. */
  queue: 'NFKNOCK-QUEUE',
  /** Jumped to from FORWARD, and from DOCKER-USER where that exists. */
  forward: 'NFKNOCK-FWD',
  /** Packets to protected services behind this machine. */
  forwardService: 'NFKNOCK-FWD-SERVICE',
  /** One ACCEPT rule a grant, of services behind this machine. */
  forwardGrant: 'NFKNOCK-FWD-GRANT',
  /** Jumped to from nat PREROUTING: one translation a grant. */
  translate: 'NFKNOCK-DNAT',
  /** Jumped to from mangle PREROUTING, before any table judges: knocks get a mark, and who has a grant. */
  early: 'NFKNOCK-EARLY',
  /** One MARK rule a grant. */
  mark: 'NFKNOCK-MARK',
  /** `answer: closed`: what a stranger is told, as by a port that nothing listens on. */
  closed: 'NFKNOCK-CLOSED',
  /** The three for services behind this machine, where a stranger is told so too. */
  forwardBan: 'NFKNOCK-FWD-BAN',
  forwardQueue: 'NFKNOCK-FWD-QUEUE',
  forwardClosed: 'NFKNOCK-FWD-CLOSED',
  /** The base policy of an appliance. */
  base: 'NFKNOCK-BASE',
  /** Nothing jumps here: rules stand in it for a moment, while they are being made. */
  draft: 'NFKNOCK-DRAFT',
  /** Never seen by anybody: made and taken out in one transaction, to learn what the kernel takes. */
  probe: 'NFKNOCK-PROBE',
} as const;

/** Chains that hold grants: written when a door opens or closes, kept when the rest is written anew. */
export const GRANT_CHAINS: readonly string[] = [CHAIN.grant, CHAIN.forwardGrant, CHAIN.translate, CHAIN.mark];

/** The comment by which nfknock knows its own jumps. */
export const JUMP_COMMENT = 'nfknock';

/** A set's name has at most 31 characters: IPSET_MAXNAMELEN of linux/netfilter/ipset/ip_set.h, less the NUL. */
const SET_NAME_CHARACTERS_MAX = 31;
const SET_PREFIX = 'nfknock-';
/** Doors of these names would share a set with the bans, or with a set in the making. */
const RESERVED: readonly string[] = ['ban', 'swap'];
const DOOR_NAME_IN_SET_CHARACTERS_MAX = SET_NAME_CHARACTERS_MAX - SET_PREFIX.length - 1;
/** Hexadecimal digits of a hash that stand for a name too long for a set. */
const HASH_DIGITS = 8;

/** Linux's IFNAMSIZ less the NUL, and nothing that iptables reads otherwise. */
const INTERFACE_NAME = /^(?=.{1,15}$)[A-Za-z0-9][A-Za-z0-9_.@:-]*\+?$/;

export function banSet(family: Family): string {
  return `${SET_PREFIX}ban${family}`;
}

/** What a set in the making is called until it takes the place of another. */
export function swapSet(family: Family): string {
  return `${SET_PREFIX}swap${family}`;
}

/** The set of the sources that a door lets in: `nfknock-ssh4`. Names too long are cut and told apart by a hash. */
export function doorSet(door: string, family: Family): string {
  return `${SET_PREFIX}${shortName(checkedDoor(door))}${family}`;
}

/**
 * Sources that a door's set can let in at once. It is not ipset's own default, 65,536: a set is known as ours by it,
 * since anyone may give a set a name that begins as ours do.
 */
export const DOOR_SET_LIMIT = 65_521;

/** True for a set that this program made. */
export function isOwnSet({ name, family, limit }: OwnedSet): boolean {
  if (name === banSet(family) || name === swapSet(family)) return true;
  return hasOwnSetName(name) && name.endsWith(`${family}`) && limit === DOOR_SET_LIMIT;
}

/** True for a name that a set of ours may have; in a rule of our own chains it is one of ours. */
export function hasOwnSetName(name: string): boolean {
  return name.startsWith(SET_PREFIX);
}

interface OwnedSet {
  readonly name: string;
  readonly family: Family;
  /** Entries at most; undefined where the kind of set has no such limit. */
  readonly limit: number | undefined;
}

/** The name, checked: the configuration has refused others long before. */
export function checkedDoor(name: string): string {
  if (!isDoorName(name)) throw new RangeError(`a door's name can't be in a rule: ${JSON.stringify(name)}`);
  return name;
}

export function checkedInterface(name: string): string {
  if (!INTERFACE_NAME.test(name)) throw new RangeError(`not an interface's name: ${JSON.stringify(name)}`);
  return name;
}

function shortName(door: string): string {
  const plain = door.length <= DOOR_NAME_IN_SET_CHARACTERS_MAX && !/-[0-9a-f]{8}$/.test(door);
  if (plain && !RESERVED.includes(door)) return door;
  const hash = createHash('sha256').update(door).digest('hex').slice(0, HASH_DIGITS);
  return `${door.slice(0, DOOR_NAME_IN_SET_CHARACTERS_MAX - HASH_DIGITS - 1)}-${hash}`;
}
