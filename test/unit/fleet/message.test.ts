import { readFileSync, writeFileSync } from 'node:fs';
import { env } from 'node:process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Unreadable } from '../../../src/fleet/bytes.ts';
import { decode, encode, type Message, RECORDS_MAX } from '../../../src/fleet/message.ts';
import type { ToldPacket } from '../../../src/fleet/records.ts';
import type { BanRegister, GrantRegister, Register } from '../../../src/fleet/register.ts';
import { registerOf, rowOf } from '../../../src/fleet/row.ts';
import { ipv4, ipv6 } from '../../../src/packet/address.ts';
import { type Cidr, hostCidr, networkOf } from '../../../src/packet/cidr.ts';

const FIXTURE = new URL('../../fixtures/fleet/messages.txt', import.meta.url);
const V4 = ipv4(0xc6336407 | 0);
const V6 = ipv6(0x20010db8, 0x00010002, 0x00030004, 0x00050006);
const NOW = 1_790_000_000_123.5;

const BAN: BanRegister = {
  ...{ kind: 'ban', target: hostCidr(V4), cause: 'strikes' },
  ...{ gen: 0, since: NOW, until: NOW + 600_000, count: 3 },
};
const LIFT: BanRegister = {
  ...BAN,
  ...{ target: networkOf(V6, 64), cause: 'order', gen: NOW * 64, until: 0 },
};
const GRANT: GrantRegister = {
  ...{ kind: 'grant', door: 'ssh', grantee: hostCidr(V4), gen: 0, opened: NOW, until: NOW + 30_000 },
  ...{ source: V4, uses: 2 },
};
const ANYONE: GrantRegister = { ...GRANT, door: 'web_1', grantee: 'any', source: V6, uses: null };
const PACKET: ToldPacket = {
  ...{ id: 0xdeadbeef, protocol: 6, flags: 2, explained: false, source: V6, destination: ipv6(1, 2, 3, -4) },
  ...{ sourcePort: 40_000, port: 7_000, sequence: 0x89abcdef, at: NOW },
};
const GOLDEN: readonly Message[] = [
  { kind: 'ban', number: 7, time: NOW, records: [BAN, LIFT] },
  { kind: 'grant', number: 2 ** 40 + 1, time: NOW, records: [GRANT, ANYONE] },
  { kind: 'amnesty', number: 8, time: NOW, records: [{ kind: 'amnesty', gen: 64 * NOW }] },
  {
    kind: 'used',
    number: 0,
    time: NOW,
    records: [{ door: 'ssh', digest: '00112233445566778899aabbccddeeff' }],
  },
  { kind: 'knock', number: 0, time: NOW, records: [PACKET] },
  { kind: 'decoy', number: 0, time: NOW, records: [{ ...PACKET, source: V4, destination: ipv4(1) }] },
  { kind: 'struck', number: 0, time: NOW, records: [{ ...PACKET, explained: true }] },
  { kind: 'placed', number: 0, time: NOW, records: [1, 0xffff_ffff] },
  { kind: 'first', number: 0, time: NOW, records: [V4, V6] },
  { kind: 'known', number: 0, time: NOW, records: [7] },
];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('messages between members', () => {
  it('are these bytes, for ever', () => {
    const written = GOLDEN.map((message) => `${message.kind} ${hex(encode(message))}\n`).join('');
    if (env['FLEET_GOLDEN'] !== undefined) writeFileSync(FIXTURE, written);
    expect(written).toBe(readFileSync(FIXTURE, 'utf8'));
  });

  it.each(GOLDEN.map((message) => [message.kind, message] as const))(
    'of %s are read as written',
    (_, message) => {
      expect(decode(encode(message))).toEqual(message);
    },
  );

  it('of which a byte too few or too many is there are none', () => {
    for (const message of GOLDEN) {
      const bytes = encode(message);
      for (let length = 0; length < bytes.length; length += 1)
        expect(decode(bytes.subarray(0, length))).toBeInstanceOf(Unreadable);
      expect(decode(Uint8Array.of(...bytes, 0))).toMatchObject({ reason: 'length' });
    }
  });

  it('of another version, or a kind that this one does not know, are none', () => {
    const bytes = encode(GOLDEN[0] as Message);
    for (const [at, value] of [
      [0, 0],
      [0, 2],
      [1, 0],
      [1, 11],
    ] as const) {
      const changed = Uint8Array.from(bytes);
      changed[at] = value;
      expect(decode(changed)).toMatchObject({ reason: 'version' });
    }
  });

  it('hold one record at least, and at most as many as are handled in one go', () => {
    const full: Message = {
      kind: 'placed',
      number: 0,
      time: 1,
      records: Array.from({ length: RECORDS_MAX }, () => 1),
    };
    expect(decode(encode(full))).toEqual(full);
    expect(decode(encode({ ...full, records: [...full.records, 1] }))).toMatchObject({ reason: 'length' });
    expect(decode(encode({ ...full, records: [] }))).toMatchObject({ reason: 'length' });
  });

  it.each<readonly [string, Cidr]>([
    ['of more than a host of IPv4', networkOf(V4, 24)],
    ['of everything', networkOf(V4, 0)],
    ['of more than a /64', networkOf(V6, 56)],
    ['of less than a /64 and more than a host', networkOf(V6, 96)],
    ['with bits beyond the length', { address: V6, bits: 64 }],
  ])('do not ban networks %s', (_, target) => {
    const ban: Message = { kind: 'ban', number: 1, time: 1, records: [{ ...BAN, target }] };
    expect(decode(encode(ban))).toMatchObject({ reason: 'address' });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, -0, 2 ** 53])(
    'of a moment that is %s are none',
    (moment) => {
      for (const field of ['since', 'until', 'gen'] as const) {
        const ban: Message = { kind: 'ban', number: 1, time: 1, records: [{ ...BAN, [field]: moment }] };
        const read = decode(encode(ban));
        // A ban that ends at 0 is a lift, and −0 would be one that is none.
        expect(read, field).toBeInstanceOf(Unreadable);
      }
    },
  );

  it('name doors as doors can be named', () => {
    for (const door of ['', 'SSH', 'a'.repeat(25), 'a\nb', '../x']) {
      const grant: Message = { kind: 'grant', number: 1, time: 1, records: [{ ...GRANT, door }] };
      expect(decode(encode(grant)), door).toBeInstanceOf(Unreadable);
    }
  });

  it('can be any bytes at all: nothing is thrown, and what is read is written the same', () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.constantFrom(...GOLDEN), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
        .map(([message, changes]) => {
          const bytes = encode(message);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          return bytes;
        }),
    );
    let read = 0;
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const message = decode(bytes);
        if (message instanceof Unreadable) return;
        read += 1;
        expect(hex(encode(message))).toBe(hex(bytes));
      }),
      { numRuns: 20_000 },
    );
    expect(read).toBeGreaterThan(100);
  });
});

describe('registers in the hashes of a member', () => {
  const registers: readonly Register[] = [
    BAN,
    LIFT,
    { ...BAN, target: hostCidr(V6) },
    GRANT,
    ANYONE,
    { ...GRANT, until: 0, gen: 5, grantee: networkOf(V6, 48) },
    { kind: 'amnesty', gen: 77 },
  ];

  it.each(registers.map((register) => [register.kind, register] as const))(
    'are read as written: %s',
    (_, register) => {
      expect(registerOf(rowOf(register, 'keep'))).toEqual(register);
      expect(rowOf(register, 'delete').value).toBeNull();
    },
  );

  it.each(registers.map((register) => [register.kind, register] as const))(
    'have bytes of their own, which may be written over: %s',
    (_, register) => {
      const row = rowOf(register, 'keep');
      row.field.fill(255);
      row.value?.fill(255);
      expect(registerOf(rowOf(register, 'keep'))).toEqual(register);
    },
  );

  it('have fields and values of the lengths that are written down', () => {
    const lengths = registers.map((register) => {
      const { field, value } = rowOf(register, 'keep');
      return [field.length, value?.length];
    });
    expect(lengths.slice(0, 3)).toEqual([
      [6, 27],
      [18, 27],
      [18, 27],
    ]);
    expect(lengths[6]).toEqual([1, 27]);
  });

  it('can be any bytes at all', () => {
    const table = fc.constantFrom('bans' as const, 'grants' as const);
    const near = fc
      .tuple(
        fc.constantFrom(...registers),
        fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.nat(255)), { maxLength: 3 }),
      )
      .map(([register, changes]) => {
        const row = rowOf(register, 'keep');
        for (const [inField, at, value] of changes) {
          const bytes = inField ? row.field : (row.value ?? row.field);
          bytes[at % bytes.length] = value;
        }
        return row;
      });
    const any = fc.record({
      table,
      field: fc.uint8Array({ maxLength: 20 }),
      value: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(fc.oneof(any, near), (row) => {
        const register = registerOf(row);
        if (register instanceof Unreadable) return;
        const again = rowOf(register, 'keep');
        expect([hex(again.field), hex(again.value ?? again.field)]).toEqual([
          hex(row.field),
          hex(row.value ?? row.field),
        ]);
      }),
      { numRuns: 10_000 },
    );
  });

  it('has none without a value', () => {
    const { table, field }: { table: 'bans'; field: Uint8Array } = { table: 'bans', field: Uint8Array.of(0) };
    expect(registerOf({ table, field, value: null })).toBeInstanceOf(Unreadable);
  });
});
