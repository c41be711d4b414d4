import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../src/spa/key.ts';
import { hotp, stepOf } from '../../../src/spa/totp.ts';
import { datagram } from '../../support/keys-machine.ts';
import {
  all,
  bus,
  fleetOfTests,
  GUEST,
  kernel,
  type Machine,
  pass,
  send,
  start,
} from '../../support/memory-fleet.ts';
import { fileOf, keyOf } from '../spa/spa-world.ts';

/* What a key proves is used once in the whole fleet, whatever each member calls the key. */

const SECRET = Buffer.from('12345678901234567890');
const CLOSED = '0 bans, 0 grants';

fleetOfTests();

function startWith(name: string, ...keys: readonly Key[]): Promise<Machine> {
  const loadKeys = () => ({ ok: true, file: fileOf(...keys), warnings: [] }) as const;
  return start(name, {
    doors:
      "ssh: { knock: spa, opens: [22], for: 1m }, mail: { knock: [7000, '1????', '2????'], opens: [25], for: 1m }",
    more: 'listen: { spa: [1001/udp] }, memory: { sources: 1024 }, bans: { strikes: 2, for: 10m, limit: 1024 }',
    others: { loadKeys },
  });
}

const codes = (name: string): Key => keyOf(name, { kind: 'totp', secret: SECRET }, { doors: ['mail'] });
const doorman = (name: string): Key => keyOf(name, { kind: 'doorman', group: 'guest', secret: SECRET });

/** As knock.c writes it: it does not say when it was made. */
function undated(tag: string): Buffer {
  const text = `22 guest ${tag}`;
  return Buffer.from(`${text} ${createHmac('md5', SECRET).update(text).digest('hex')}`, 'latin1');
}

/** A replica that was behind takes the engine's place. */
async function forgetAll(): Promise<void> {
  bus.stop();
  await pass(100);
  bus.start('replica');
  await pass(4_000);
}

describe('a key that another member knows by another name', () => {
  it('opens by one code at one of them', async () => {
    const [one, two] = [await startWith('edge1', codes('ada')), await startWith('edge2', codes('ada-phone'))];
    const three = await startWith('edge3', codes('ada-again'));
    await pass(4_000);
    const digits = hotp(SECRET, stepOf(one.clock.wall()), 8);
    const knocks = [7000, Number(`1${digits.slice(0, 4)}`), Number(`2${digits.slice(4)}`)];
    await send(one, GUEST, ...knocks);
    await pass(200);
    expect(await kernel(one)).toBe('0 bans, 1 grants');
    await one.ask({ command: 'revoke', address: GUEST });
    await pass(200);
    await send(two, GUEST, ...knocks);
    await pass(500);
    expect(await all(one, two)).toEqual([CLOSED, CLOSED]);
    // Its engine is replaced by one that has heard of nothing.
    await forgetAll();
    await send(three, GUEST, ...knocks);
    await pass(500);
    expect(await kernel(three)).toBe(CLOSED);
  });

  it('opens by one packet that does not say when it was made at one of them', async () => {
    const [one, two] = [await startWith('edge1', doorman('joe')), await startWith('edge2', doorman('joe-2'))];
    await pass(4_000);
    one.sources.sendToKeys([datagram(GUEST, undated('0123456789'), 1001)]);
    await pass(300);
    expect(await kernel(one)).toBe('0 bans, 1 grants');
    await one.ask({ command: 'revoke', address: GUEST });
    await pass(200);
    two.sources.sendToKeys([datagram(GUEST, undated('0123456789'), 1001)]);
    await pass(500);
    expect(await all(one, two)).toEqual([CLOSED, CLOSED]);
    await forgetAll();
    const three = await startWith('edge3', doorman('joe-3'));
    await pass(4_000);
    three.sources.sendToKeys([datagram(GUEST, undated('0123456789'), 1001)]);
    await pass(500);
    expect(await kernel(three)).toBe(CLOSED);
    // Another one opens there.
    two.sources.sendToKeys([datagram(GUEST, undated('0123456790'), 1001)]);
    await pass(500);
    expect(await kernel(two)).toBe('0 bans, 1 grants');
  });
});
