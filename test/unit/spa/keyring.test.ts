import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../../src/packet/time.ts';
import type { FwknopCredential, V1Credential } from '../../../src/spa/key.ts';
import { createKeyring, type Keyring } from '../../../src/spa/keyring.ts';
import type { SpaPacket } from '../../../src/spa/proof.ts';
import { CREDENTIAL, letters, packed } from './fwknop-packet.ts';
import {
  address,
  ed25519,
  fileOf,
  keyOf,
  packetOf,
  port,
  REALM,
  SECRET,
  v1Packet,
  WALL,
} from './spa-world.ts';

const PORTS = [port(62_201), port(62_210)];
const other = (text: string): FwknopCredential => ({
  ...CREDENTIAL,
  hmac: Buffer.from(text),
  key: Buffer.from(text),
});

function stage(keyring: Keyring, payload: Uint8Array, more: Partial<SpaPacket> = {}): string {
  const proof = keyring.prove(packetOf(payload, more));
  return proof.outcome === 'proven' ? `${proof.key.name} ${proof.by}` : proof.stage;
}

describe("A keyring's fwknop keys", () => {
  it('prove what their packets say', () => {
    const keyring = createKeyring(fileOf(keyOf('ada', CREDENTIAL)), PORTS);
    const proof = keyring.prove(packetOf(packed({ type: '3', rest: ['60'] })));
    expect(proof).toMatchObject({
      outcome: 'proven',
      stamp: 1_795_891_572_000,
      ask: {
        wants: { by: 'ports', ports: [{ protocol: 'tcp', port: 22 }], nat: null },
        address: address('192.0.2.11'),
        seconds: 60,
        user: 'ada',
      },
    });
    expect(proof.outcome === 'proven' && proof.id).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([
    ['192.0.2.11,tcp/22', 'ports'],
    ['0.0.0.0,tcp/22', 'ports'],
    ['0.0.0.0,tcp/22,udp/53,tcp/22', 'ports'],
  ])('ask for ports by %s', (message) => {
    const proof = createKeyring(fileOf(keyOf('ada', CREDENTIAL)), PORTS).prove(
      packetOf(packed({ message: letters(message) })),
    );
    if (proof.outcome !== 'proven' || proof.ask.wants.by !== 'ports') throw new Error('not proven');
    const [host = '', ...ports] = message.split(',');
    expect(proof.ask.address).toEqual(host === '0.0.0.0' ? null : address(host));
    expect(proof.ask.wants.ports.map((one) => `${one.protocol}/${one.port}`)).toEqual([...new Set(ports)]);
  });

  it.each([
    ['command', { type: '0', message: letters('192.0.2.11,id') }],
    ['ports', { message: letters('192.0.2.11') }],
    ['ports', { message: letters('192.0.2.11,icmp/8') }],
    ['ports', { message: letters('192.0.2.11,tcp/0') }],
    ['ports', { message: letters('192.0.2.11,tcp/65536') }],
    ['ports', { message: letters('192.0.2.11,tcp/22,') }],
    ['ports', { message: letters('192.0.2.11, tcp/22') }],
    ['ports', { message: letters('host,tcp/22') }],
    ['ports', { message: letters('2001:db8::1,tcp/22') }],
    ['ports', { message: letters(`192.0.2.11${',tcp/1'.repeat(17)}`) }],
    ['nat', { type: '2', rest: [letters('server,22')] }],
    ['nat', { type: '2', rest: [letters('10.0.0.5')] }],
    ['nat', { type: '2', rest: [letters('10.0.0.5,0')] }],
    ['nat', { type: '2', rest: [letters('10.0.0.5,000022')] }],
    ['nat', { type: '2', rest: [letters('10.0.0.5,22,23')] }],
  ])('ask for nothing that can be had: %s %j', (reason, parts) => {
    const proof = createKeyring(fileOf(keyOf('ada', CREDENTIAL)), PORTS).prove(packetOf(packed(parts)));
    expect(proof).toMatchObject({ outcome: 'proven', ask: { wants: { by: 'nothing', reason } } });
  });

  it('ask for a host behind this machine', () => {
    const parts = { type: '4', rest: [letters('10.0.0.5,9'), '60'] };
    const proof = createKeyring(fileOf(keyOf('ada', CREDENTIAL)), PORTS).prove(packetOf(packed(parts)));
    expect(proof).toMatchObject({
      ask: { wants: { nat: { host: address('10.0.0.5'), port: 9 } }, seconds: 60 },
    });
  });

  it('are all tried, and the one that was used last first', () => {
    const names = Array.from({ length: 32 }, (_, index) => `key${index}`);
    const keyring = createKeyring(fileOf(...names.map((name) => keyOf(name, other(name)))), PORTS);
    for (const name of [...names].reverse())
      expect(stage(keyring, packed({}, other(name)))).toBe(`${name} present`);
    expect(stage(keyring, packed({}, other('key32')))).toBe('hmac');
  });

  it('beyond 32 at a port are not tried', () => {
    const names = Array.from({ length: 33 }, (_, index) => `key${index}`);
    const keyring = createKeyring(fileOf(...names.map((name) => keyOf(name, other(name)))), PORTS);
    expect(stage(keyring, packed({}, other('key31')))).toBe('key31 present');
    expect(stage(keyring, packed({}, other('key32')))).toBe('hmac');
  });

  it('are of the port that they name', () => {
    const keyring = createKeyring(fileOf(keyOf('ada', CREDENTIAL, { port: port(62_210) })), PORTS);
    expect(stage(keyring, packed())).toBe('precheck');
    expect(stage(keyring, packed(), { port: port(62_210) })).toBe('ada present');
    expect(stage(keyring, packed(), { port: port(53) })).toBe('precheck');
  });

  it('are tried in the order of their last use at every port', () => {
    // Both have one HMAC, so that which of them is tried first can be seen.
    const ben = { ...CREDENTIAL, key: Buffer.from('of ben') };
    const keyring = createKeyring(
      fileOf(keyOf('ada', CREDENTIAL, { port: port(62_201) }), keyOf('ben', ben)),
      PORTS,
    );
    expect(stage(keyring, packed({}, ben))).toMatch(/^(cipher|digest)$/);
    expect(stage(keyring, packed({}, ben), { port: port(62_210) })).toBe('ben present');
    expect(stage(keyring, packed({}, ben))).toBe('ben present');
    expect(stage(keyring, packed())).toMatch(/^(cipher|digest)$/);
  });

  it('stay at their port when they have been used', () => {
    const keys = [keyOf('ada', CREDENTIAL, { port: port(62_210) }), keyOf('ben', other('ben'))];
    const keyring = createKeyring(fileOf(...keys), PORTS);
    expect(stage(keyring, packed(), { port: port(62_210) })).toBe('ada present');
    expect(stage(keyring, packed())).toBe('hmac');
    expect(stage(keyring, packed({}, other('ben')))).toBe('ben present');
  });

  it('refuse a packet at the stage at which it is wrong', () => {
    const keyring = createKeyring(fileOf(keyOf('ada', CREDENTIAL)), PORTS);
    expect(stage(keyring, Buffer.alloc(200, 'A'))).toBe('hmac');
    expect(stage(keyring, Buffer.alloc(200, '='))).toBe('precheck');
    expect(stage(keyring, packed({}, { ...CREDENTIAL, key: Buffer.from('another') }))).toMatch(
      /^(cipher|digest)$/,
    );
    expect(stage(keyring, packed({ type: '9' }))).toBe('fields');
    expect(stage(createKeyring(fileOf(), PORTS), packed())).toBe('precheck');
  });
});

describe("A keyring's keys of SPA v1", () => {
  const { publicKey, privateKey } = ed25519();
  const ada: V1Credential = { kind: 'ed25519', publicKey };
  const keyring = (): Keyring =>
    createKeyring(fileOf(keyOf('ci', SECRET), keyOf('ada', ada), keyOf('phone', CREDENTIAL)), PORTS);

  it('are found by the id that a packet has', () => {
    expect(stage(keyring(), v1Packet(SECRET))).toBe('ci present');
    expect(stage(keyring(), v1Packet(ada, {}, privateKey))).toBe('ada present');
    expect(stage(keyring(), packed())).toBe('phone present');
    expect(keyring().prove(packetOf(v1Packet(SECRET, { seconds: 7, door: 'mail' })))).toMatchObject({
      stamp: WALL,
      ask: { wants: { by: 'door' }, address: null, seconds: 7, user: null },
    });
  });

  it('refuse whom they do not know, and who can not prove it', () => {
    expect(stage(keyring(), v1Packet({ kind: 'secret', secret: Buffer.alloc(32) }))).toBe('key');
    expect(stage(keyring(), v1Packet({ kind: 'ssh', publicKey }))).toBe('key');
    expect(stage(keyring(), v1Packet(ada))).toBe('proof');
    expect(stage(keyring(), v1Packet(SECRET, { proof: Buffer.alloc(64) }))).toBe('proof');
    expect(stage(keyring(), v1Packet(SECRET, { realm: Buffer.alloc(32) }))).toBe('hmac');
    expect(stage(keyring(), Buffer.alloc(144, 0xff))).toBe('hmac');
  });

  it('are of the port that they name', () => {
    const file = fileOf(keyOf('ci', SECRET, { port: port(62_210) }));
    expect(stage(createKeyring(file, PORTS), v1Packet(SECRET))).toBe('key');
    expect(stage(createKeyring(file, PORTS), v1Packet(SECRET), { port: port(62_210) })).toBe('ci present');
  });

  it('are not looked for where there is no realm, or no such key', () => {
    expect(stage(createKeyring({ realms: [], keys: [keyOf('ci', SECRET)] }, PORTS), v1Packet(SECRET))).toBe(
      'precheck',
    );
    expect(stage(createKeyring(fileOf(keyOf('phone', CREDENTIAL)), PORTS), v1Packet(SECRET))).toBe(
      'precheck',
    );
  });

  it('of the realm that was replaced are taken as long as it lasts', () => {
    const old = { bytes: Buffer.alloc(32, 1), until: WALL + 10 };
    const file = { realms: [...fileOf().realms, old], keys: [keyOf('ci', SECRET)] };
    const packet = v1Packet(SECRET, { realm: old.bytes });
    expect(stage(createKeyring(file, PORTS), packet, { wall: WALL + 9 })).toBe('ci present');
    expect(stage(createKeyring(file, PORTS), packet, { wall: WALL + 10 })).toBe('hmac');
    expect(stage(createKeyring(file, PORTS), v1Packet(SECRET), { wall: WALL + 9 })).toBe('ci present');
  });

  it('and 144 letters of base64 are not mistaken for each other', () => {
    expect(stage(keyring(), Buffer.alloc(144, 'A'))).toBe('hmac');
    const none = createKeyring(fileOf(keyOf('phone', CREDENTIAL)), PORTS);
    expect(stage(none, Buffer.alloc(144, 'A'))).toBe('precheck');
    expect(stage(none, Buffer.alloc(145, 'A'))).toBe('hmac');
  });
});

describe('A key that was rotated', () => {
  const before = other('before');
  const rotated = keyOf('ada', other('now'), { previous: { credential: before, until: WALL + 1000 } });

  it('is taken as it was until it is used as it is', () => {
    const keyring = createKeyring(fileOf(rotated), PORTS);
    expect(stage(keyring, packed({}, before))).toBe('ada previous');
    expect(stage(keyring, packed({}, before))).toBe('ada previous');
    expect(stage(keyring, packed({}, other('now')))).toBe('ada present');
    expect(stage(keyring, packed({}, before))).toBe('hmac');
  });

  it('is not taken as it was once its time is over', () => {
    const keyring = createKeyring(fileOf(rotated), PORTS);
    expect(stage(keyring, packed({}, before), { wall: WALL + 999 })).toBe('ada previous');
    expect(stage(keyring, packed({}, before), { wall: WALL + 1000 })).toBe('hmac');
  });

  it('leaves the others as they are', () => {
    const ben = keyOf('ben', other('ben now'), {
      previous: { credential: other('ben'), until: WALL + 1000 },
    });
    const keyring = createKeyring(fileOf(rotated, ben), PORTS);
    expect(stage(keyring, packed({}, other('now')))).toBe('ada present');
    expect(stage(keyring, packed({}, other('ben')))).toBe('ben previous');
  });

  it('is rotated also where a packet names its key', () => {
    const now: V1Credential = { kind: 'secret', secret: Buffer.alloc(32, 2) };
    const key = keyOf('ci', now, { previous: { credential: SECRET, until: WALL + 1000 } });
    const keyring = createKeyring(fileOf(key), PORTS);
    expect(stage(keyring, v1Packet(SECRET))).toBe('ci previous');
    expect(stage(keyring, v1Packet(now))).toBe('ci present');
    expect(stage(keyring, v1Packet(SECRET))).toBe('key');
  });
});

describe('The budget of a keyring', () => {
  const flood = (keyring: Keyring, payload: Uint8Array, count: number, now = 0): number => {
    let looked = 0;
    for (let index = 0; index < count; index += 1) {
      const source = address(`203.0.113.${index % 250}`);
      if (stage(keyring, payload, { source, now: milliseconds(now) }) !== 'budget') looked += 1;
    }
    return looked;
  };

  it('is spent by one MAC for each key and packet', () => {
    const names = Array.from({ length: 30 }, (_, index) => `key${index}`);
    const keyring = createKeyring(fileOf(...names.map((name) => keyOf(name, other(name)))), PORTS);
    expect(flood(keyring, Buffer.alloc(200, 'A'), 1100)).toBe(1000);
    expect(keyring.budget.overload()).toBe(100);
    expect(keyring.budget.overload()).toBe(0);
    // 30,000 are for everybody; what was refused cost none.
    expect(keyring.budget.spent()).toBe(30_000);
  });

  it('is spent by one MAC for each realm and packet of our own form', () => {
    const realms = [REALM, Buffer.alloc(32, 8)].map((bytes) => ({ bytes, until: null }));
    const keyring = createKeyring({ ...fileOf(keyOf('ci', SECRET)), realms }, PORTS);
    expect(keyring.budget.spent()).toBe(0);
    expect(flood(keyring, Buffer.alloc(144, 'A'), 15_100)).toBe(15_000);
    expect(keyring.budget.overload()).toBe(100);
    expect(keyring.budget.spent()).toBe(30_000);
    expect(stage(keyring, v1Packet(SECRET), { now: milliseconds(0) })).toBe('budget');
  });

  it('of the proofs is spent by who has the realm, for one key at a time', () => {
    const keyring = createKeyring(
      fileOf(keyOf('ci', SECRET), keyOf('ada', { kind: 'secret', secret: Buffer.alloc(9) })),
      PORTS,
    );
    expect(flood(keyring, v1Packet(SECRET, { proof: Buffer.alloc(64) }), 40)).toBe(15);
    expect(
      stage(keyring, v1Packet({ kind: 'secret', secret: Buffer.alloc(9) }), { now: milliseconds(0) }),
    ).toBe('ada present');
  });
});
