import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isDoormanKnock, parseDoorman } from '../../../src/spa/doorman.ts';
import { createKeyring } from '../../../src/spa/keyring.ts';
import { CREDENTIAL, packed } from './fwknop-packet.ts';
import { fileOf, keyOf, packetOf, port } from './spa-world.ts';

const SECRET = Buffer.from('geheim');

/** A line as knock.c writes it: "%i %s %10.10u " and the HMAC in hexadecimal. */
function line(ports: string, group: string, tag: string, secret: Uint8Array = SECRET): Buffer {
  const text = `${ports} ${group} ${tag}`;
  return Buffer.from(`${text} ${createHmac('md5', secret).update(text).digest('hex')}`, 'latin1');
}
const credential = { kind: 'doorman', group: 'guest', secret: SECRET } as const;
const PORTS = [port(1001)];
const AT = { port: port(1001) };

describe("doorman's packet", () => {
  it('says port and group, and bears an HMAC of what it says', () => {
    const knock = parseDoorman(line('22', 'guest', '0123456789'));
    expect(knock).toEqual({
      port: { protocol: 'tcp', port: 22 },
      group: 'guest',
      text: '22 guest 0123456789',
      mac: createHmac('md5', SECRET).update('22 guest 0123456789').digest('hex'),
    });
    expect(parseDoorman(line('9', 'guest', '1'))?.port.port).toBe(9);
    expect(parseDoorman(line('9', 'g', '0123456789'))?.group).toBe('g');
    if (knock === undefined) return;
    expect(isDoormanKnock(knock, SECRET)).toBe(true);
    expect(isDoormanKnock(knock, Buffer.from('Geheim'))).toBe(false);
    expect(isDoormanKnock({ ...knock, text: '23 guest 0123456789' }, SECRET)).toBe(false);
  });

  const good = line('22', 'guest', '0123456789').toString('latin1');
  it.each([
    ['nothing', ''],
    ['no port', good.replace('22 ', '')],
    ['port 0', good.replace('22 ', '0 ')],
    ['a port of six digits', good.replace('22 ', '000022 ')],
    ['port 65536', good.replace('22 ', '65536 ')],
    ['something before', ` ${good}`],
    ['something behind', `${good} `],
    ['a line break', `${good}\n`],
    ['a short HMAC', good.slice(0, -1)],
    ['an HMAC in capitals', good.slice(0, -32) + good.slice(-32).toUpperCase()],
    ['a letter in the tag', good.replace('0123', '012x')],
    ['a tag of eleven digits', good.replace('0123', '00123')],
    ['a control character in the group', good.replace('guest', 'gu\u0007st')],
    ['a group of 33', good.replace('guest', 'g'.repeat(33))],
  ])('with %s is none', (_, text) => {
    expect(parseDoorman(Buffer.from(text, 'latin1'))).toBeUndefined();
  });

  it('has at most 79 bytes', () => {
    const fits = line('65535', 'g'.repeat(29), '0123456789');
    expect(fits.length).toBe(79);
    expect(parseDoorman(fits)).toBeDefined();
    expect(parseDoorman(line('65535', 'g'.repeat(30), '0123456789'))).toBeUndefined();
  });

  it('is proven by the secret of its group, and says neither when nor for whom', () => {
    const keyring = createKeyring(fileOf(keyOf('old', credential), keyOf('phone', CREDENTIAL)), [
      ...PORTS,
      port(62_201),
    ]);
    const proof = keyring.prove(packetOf(line('22', 'guest', '0000000001'), AT));
    expect(proof).toMatchObject({
      outcome: 'proven',
      stamp: null,
      ask: {
        wants: { by: 'ports', ports: [{ protocol: 'tcp', port: 22 }], nat: null },
        address: null,
        seconds: 0,
        user: null,
      },
    });
    const other = keyring.prove(packetOf(line('22', 'guest', '0000000002'), AT));
    const id = (found: typeof proof) => found.outcome === 'proven' && found.id;
    expect(id(proof)).toMatch(/^[0-9a-f]{32}$/);
    expect(id(proof)).not.toBe(id(other));
    expect(keyring.prove(packetOf(packed())).outcome).toBe('proven');
  });

  it('is refused where its group or its secret is another', () => {
    const keyring = createKeyring(fileOf(keyOf('old', credential, { port: port(1001) })), [
      ...PORTS,
      port(1002),
    ]);
    const stage = (payload: Uint8Array, at = AT): unknown => {
      const found = keyring.prove(packetOf(payload, at));
      return found.outcome === 'proven' ? 'proven' : found.stage;
    };
    expect(stage(line('22', 'guest', '1'))).toBe('proven');
    expect(stage(line('22', 'guests', '1'))).toBe('key');
    expect(stage(line('22', 'guest', '1', Buffer.from('other')))).toBe('hmac');
    expect(stage(line('22', 'guest', '1'), { port: port(1002) })).toBe('key');
    expect(stage(Buffer.from('22 guest'))).toBe('precheck');
    expect(createKeyring(fileOf(), PORTS).prove(packetOf(line('22', 'guest', '1'), AT)).outcome).toBe(
      'unproven',
    );
  });

  it('costs a MAC of the budget', () => {
    const keyring = createKeyring(fileOf(keyOf('old', credential)), PORTS);
    const packet = packetOf(line('22', 'guest', '1', Buffer.from('other')), AT);
    let looked = 0;
    while (keyring.budget.macs(packet.source, 1, packet.now)) looked += 1;
    expect(looked).toBe(30_000);
    expect(keyring.prove(packet)).toEqual({ outcome: 'unproven', stage: 'budget' });
  });

  it('is taken as its group was before it was rotated', () => {
    const key = keyOf(
      'old',
      { ...credential, secret: Buffer.from('new') },
      { previous: { credential, until: 1e15 } },
    );
    const keyring = createKeyring(fileOf(key), PORTS);
    const by = (secret: Uint8Array): unknown => {
      const found = keyring.prove(packetOf(line('22', 'guest', '1', secret), AT));
      return found.outcome === 'proven' ? found.by : found.stage;
    };
    expect(by(SECRET)).toBe('previous');
    expect(by(Buffer.from('new'))).toBe('present');
    expect(by(SECRET)).toBe('hmac');
  });
});
