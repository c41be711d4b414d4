import { bytesOf, type Family } from '../packet/address.ts';
import { formatCidr, parseCidr } from '../packet/cidr.ts';
import { isDoorName } from '../policy/door-name.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { RegisterRow, RegisterTable } from './bus.ts';
import { ADDRESS_BYTES, createReader, createWriter, familyOf, Unreadable } from './bytes.ts';
import { NO_LIMIT, targetFrom } from './records.ts';
import type { BanRegister, GrantRegister, Register } from './register.ts';

/*
 * Registers as rows of a member's two hashes, which who joins reads: `bans` by target (6 or 18 bytes), `grants` by door
 * and grantee. The lifting of all bans is a row of `bans` with a field of one byte.
 */
const BAN_VALUE = 27;
const GRANT_VALUE = 45;
/** In a ban's field: by an order. */
const ORDER = 0x40;
const LIFTED = 1;

export function tableOf(register: Register): RegisterTable {
  return register.kind === 'grant' ? 'grants' : 'bans';
}

/** The row of a register; without a value where it is over. */
export function rowOf(register: Register, keep: 'keep' | 'delete'): RegisterRow {
  return {
    table: tableOf(register),
    field: fieldOf(register),
    value: keep === 'keep' ? stateBytes(register) : null,
  };
}

function fieldOf(register: Register): Uint8Array {
  switch (register.kind) {
    case 'ban': {
      const { address, bits } = register.target;
      const writer = createWriter(2 + bytesOf(address).length);
      writer.u8(address.family | (register.cause === 'order' ? ORDER : 0));
      writer.u8(bits);
      writer.shortAddress(address);
      return writer.bytes;
    }
    case 'grant': {
      const text = `${register.door}\n${register.grantee === 'any' ? 'any' : formatCidr(register.grantee)}`;
      const writer = createWriter(text.length);
      writer.text(text);
      return writer.bytes;
    }
    case 'amnesty':
      // Of its own: whoever changes it must not change what is written later.
      return Uint8Array.of(0);
    default:
      return register satisfies never;
  }
}

function stateBytes(register: Register): Uint8Array {
  if (register.kind === 'grant') {
    const { gen, opened, until, source, uses } = register;
    const writer = createWriter(GRANT_VALUE);
    for (const moment of [gen, opened, until]) writer.f64(moment);
    writer.u8(source.family);
    writer.address(source);
    writer.u32(uses ?? NO_LIMIT);
    return writer.bytes;
  }
  const { gen, until, since, count } =
    register.kind === 'ban' ? register : { ...register, until: 0, since: 0, count: 0 };
  const writer = createWriter(BAN_VALUE);
  for (const moment of [gen, until, since]) writer.f64(moment);
  writer.u16(Math.min(count, 65_535));
  writer.u8(until === 0 ? LIFTED : 0);
  return writer.bytes;
}

/** The register of a row, or why it is none. Whatever the bytes are, nothing is thrown. */
export function registerOf({ table, field, value }: RegisterRow): Register | Unreadable {
  if (value === null) return new Unreadable('length');
  try {
    return table === 'grants' ? grantOf(field, value) : banOf(field, value);
  } catch (error) {
    if (error instanceof Unreadable) return error;
    throw error;
  }
}

function banOf(field: Uint8Array, value: Uint8Array): Register {
  const reader = createReader(value);
  const [gen, until, since] = [reader.moment(), reader.moment(), reader.moment()];
  const [count, flags] = [reader.u16(), reader.u8()];
  reader.end();
  if (flags !== (until === 0 ? LIFTED : 0)) throw new Unreadable('time');
  if (field.length === 1 && field[0] === 0) {
    if (until !== 0 || since !== 0 || count !== 0) throw new Unreadable('time');
    return { kind: 'amnesty', gen };
  }
  const [head = 0, bits = 0] = field;
  const family: Family = familyOf(head & ~ORDER);
  if (field.length !== 2 + (family === 4 ? 4 : ADDRESS_BYTES)) throw new Unreadable('length');
  const padded = new Uint8Array(ADDRESS_BYTES);
  padded.set(field.subarray(2));
  const target = targetFrom(createReader(padded).address(family), bits);
  const cause: BanRegister['cause'] = (head & ORDER) === 0 ? 'strikes' : 'order';
  return { kind: 'ban', target, cause, gen, since, until, count };
}

/** The longest field of a grant: a door's name, an address and its length. */
const FIELD_MAX = 128;

function grantOf(field: Uint8Array, value: Uint8Array): GrantRegister {
  const reader = createReader(value);
  const [gen, opened, until] = [reader.moment(), reader.moment(), reader.moment()];
  const source = reader.address(familyOf(reader.u8()));
  const uses = reader.u32();
  reader.end();
  if (field.length > FIELD_MAX) throw new Unreadable('length');
  const [door = '', grantee = '', ...rest] = String.fromCharCode(...field).split('\n');
  if (!isDoorName(door) || rest.length > 0) throw new Unreadable('length');
  return {
    ...{ kind: 'grant', door, grantee: granteeOf(grantee), gen, opened, until, source },
    uses: uses === NO_LIMIT ? null : uses,
  };
}

function granteeOf(text: string): Grantee {
  if (text === 'any') return 'any';
  const network = parseCidr(text);
  // One way to write it: two rows must not be one register.
  if (network === undefined || formatCidr(network) !== text) throw new Unreadable('address');
  return network;
}
