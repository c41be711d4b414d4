import type { Address, Family } from '../packet/address.ts';
import { type Cidr, HOST_BITS, OFFENDER_BITS } from '../packet/cidr.ts';
import { isDoorName } from '../policy/door-name.ts';
import type { Grantee } from '../policy/grantee.ts';
import { familyOf, networkFrom, type Reader, Unreadable, type Writer } from './bytes.ts';
import type { BanRegister, GrantRegister } from './register.ts';

/* The records of a message, one by one. */

/** A packet that another member may have the attempt for, or that is an offence of its source. */
export interface ToldPacket {
  /** By which it is known again when it is placed. */
  readonly id: number;
  readonly protocol: number;
  readonly flags: number;
  /** Whether its own member had a use for it. */
  readonly explained: boolean;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly port: number;
  readonly sequence: number;
  /** When it came, on the bus's clock. */
  readonly at: number;
}

/** A one-time line was used up. */
export interface UsedLine {
  readonly door: string;
  readonly digest: string;
}

const ANY_BITS = 255;
export const NO_LIMIT = 0xffff_ffff;
const LIFTED = 0x80;
export const DIGEST_BYTES = 16;
export const BAN_BYTES = 46;
export const GRANT_BYTES = 63;
export const PACKET_BYTES = 56;
const COUNT_MAX = 65_535;

export function writeUsed(writer: Writer, { door, digest }: UsedLine): void {
  writer.u8(door.length);
  writer.text(door);
  for (let at = 0; at < 2 * DIGEST_BYTES; at += 2) writer.u8(Number.parseInt(digest.slice(at, at + 2), 16));
}

export function writeBan(writer: Writer, { target, cause, gen, since, until, count }: BanRegister): void {
  const { address, bits } = target;
  writer.u8(address.family | (until === 0 ? LIFTED : 0));
  writer.u8(bits);
  writer.u16(Math.min(count, COUNT_MAX));
  writer.address(address);
  writer.f64(since);
  writer.f64(until);
  writer.f64(gen);
  writer.u16(cause === 'order' ? 1 : 0);
}

export function writeGrant(writer: Writer, grant: GrantRegister): void {
  const { door, grantee, source, opened, until, gen, uses } = grant;
  writer.u8(door.length);
  writer.text(door);
  writer.u8((grantee === 'any' ? 0 : grantee.address.family) | (source.family << 4));
  writer.u8(grantee === 'any' ? ANY_BITS : grantee.bits);
  writer.address(grantee === 'any' ? ANY_ADDRESS : grantee.address);
  writer.address(source);
  writer.f64(opened);
  writer.f64(until);
  writer.f64(gen);
  writer.u32(uses ?? NO_LIMIT);
}

const ANY_ADDRESS: Address = { family: 4, a: 0, b: 0, c: 0, d: 0 };

export function writePacket(writer: Writer, packet: ToldPacket): void {
  writer.u32(packet.id);
  writer.u8(packet.source.family);
  writer.u8(packet.protocol);
  writer.u8(packet.flags);
  writer.u8(packet.explained ? 1 : 0);
  writer.address(packet.source);
  writer.address(packet.destination);
  writer.u16(packet.sourcePort);
  writer.u16(packet.port);
  writer.u32(packet.sequence);
  writer.f64(packet.at);
}

export function readBan(reader: Reader): BanRegister {
  const head = reader.u8();
  const family = familyOf(head & ~LIFTED);
  const bits = reader.u8();
  const count = reader.u16();
  const target = targetFrom(reader.address(family), bits);
  const [since, until, gen] = [reader.moment(), reader.moment(), reader.moment()];
  if (((head & LIFTED) !== 0) !== (until === 0)) throw new Unreadable('time');
  const cause = reader.u16();
  if (cause > 1) throw new Unreadable('version');
  return { kind: 'ban', target, cause: cause === 1 ? 'order' : 'strikes', gen, since, until, count };
}

/** A host or, of IPv6, its /64: nobody bans more in one go. */
export function targetFrom(address: Address, bits: number): Cidr {
  if (bits !== HOST_BITS[address.family] && bits !== OFFENDER_BITS[address.family])
    throw new Unreadable('address');
  return networkFrom(address, bits);
}

export function readGrant(reader: Reader): GrantRegister {
  const door = doorFrom(reader);
  const families = reader.u8();
  const bits = reader.u8();
  const grantee = granteeFrom(reader, families & 15, bits);
  const source = reader.address(familyOf(families >> 4));
  const [opened, until, gen] = [reader.moment(), reader.moment(), reader.moment()];
  const uses = reader.u32();
  return { kind: 'grant', door, grantee, gen, opened, until, source, uses: uses === NO_LIMIT ? null : uses };
}

function doorFrom(reader: Reader): string {
  const door = reader.text(reader.u8());
  if (!isDoorName(door)) throw new Unreadable('length');
  return door;
}

function granteeFrom(reader: Reader, family: number, bits: number): Grantee {
  if (family !== 0 || bits !== ANY_BITS) return networkFrom(reader.address(familyOf(family)), bits);
  const { a } = reader.address(4);
  if (a !== 0) throw new Unreadable('address');
  return 'any';
}

export function readUsed(reader: Reader): UsedLine {
  const door = doorFrom(reader);
  const bytes = Array.from({ length: DIGEST_BYTES }, () => reader.u8());
  return { door, digest: bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('') };
}

export function readPacket(reader: Reader): ToldPacket {
  const id = reader.u32();
  const family: Family = familyOf(reader.u8());
  const [protocol, flags, explained] = [reader.u8(), reader.u8(), reader.u8()];
  if (explained > 1) throw new Unreadable('version');
  const [source, destination] = [reader.address(family), reader.address(family)];
  const [sourcePort, port, sequence] = [reader.u16(), reader.u16(), reader.u32()];
  const at = reader.moment();
  return {
    ...{ id, protocol, flags, explained: explained === 1, source, destination },
    sourcePort,
    port,
    sequence,
    at,
  };
}
