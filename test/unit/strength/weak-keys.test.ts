import { describe, expect, it } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { keyWarnings } from '../../../src/config/key-warnings.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import type { Config } from '../../../src/policy/config.ts';
import type { Credential, Key } from '../../../src/spa/key.ts';
import { ofKeys } from '../../../src/strength/weak-keys.ts';
import { keyOf, port, WALL } from '../spa/spa-world.ts';

const DAY = 86_400_000;
const STRONG = { kind: 'ed25519', publicKey: Buffer.alloc(32, 1) } as const;
const bytes = (count: number): Buffer => Buffer.alloc(count, 200);

function config(knock = 'spa', spa = '62210/udp'): Config {
  const text = `listen: { spa: [${spa}] }\ndoors: { ssh: { knock: ${knock}, opens: [22/tcp] } }\n`;
  const parsed = parseConfig(text, 'n');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join());
  return parsed.config;
}
function codes(keys: readonly Key[], of = config()): readonly string[] {
  return [...ofKeys(of, keys, WALL), ...keyWarnings(of, keys)].map(({ code }) => code);
}
function fwknop(hmac: Uint8Array, digest: 'sha256' | 'md5' | 'sha1' = 'sha256'): Credential {
  return { kind: 'fwknop', key: bytes(32), hmac, digest, mode: 'cbc' };
}
const required = { address: 'required' } as const;

describe('Keys that are as they should be', () => {
  it('are not warned of', () => {
    expect(codes([keyOf('ada', STRONG, required), keyOf('ben', fwknop(bytes(32)), required)])).toEqual([]);
  });
});

describe('Keys', () => {
  it.each<readonly [string, Credential, readonly string[]]>([
    ['a passphrase of 9 letters', fwknop(Buffer.from('geheimnis')), ['weak-key']],
    ['9 bytes', fwknop(bytes(9)), ['weak-key']],
    ['10 bytes', fwknop(bytes(10)), []],
    ['md5', fwknop(bytes(32), 'md5'), ['old-hmac']],
    ['sha1', fwknop(bytes(32), 'sha1'), ['old-hmac']],
    [
      "doorman's secret",
      { kind: 'doorman', group: 'g', secret: Buffer.from('abc') },
      ['weak-key', 'key-unheard'],
    ],
  ])('with %s', (_, credential, expected) => {
    expect(codes([keyOf('ada', credential, required)])).toEqual(expected);
  });

  it.each([
    [WALL, ['key-expires-soon']],
    [WALL + 14 * DAY, ['key-expires-soon']],
    [WALL + 14 * DAY + 1, []],
  ])('that expire at %d', (expires, expected) => {
    expect(codes([keyOf('ada', STRONG, { ...required, expires })])).toEqual(expected);
  });

  it('that need not name an address are told of once, and no name is left out in silence', () => {
    const keys = ['a', 'b', 'c', 'd', 'e'].map((name) => keyOf(name, STRONG));
    const [found, ...more] = ofKeys(config(), keys, WALL);
    expect(found?.text).toMatch(/^packets of a, b, c and 2 more need not name an address/);
    expect(more).toEqual([]);
  });

  it('beside a sequence, and a door without a key', () => {
    const key = keyOf('ada', STRONG, required);
    expect(codes([key], config('[1000/tcp, 2000/tcp, 3000/tcp]'))).toEqual(['sequence-beside-key']);
    expect(codes([])).toEqual(['door-without-key']);
  });

  it.each([
    [8, []],
    [9, ['many-fwknop-keys']],
  ])('of fwknop, %d at a port', (count, expected) => {
    const keys = Array.from({ length: count }, (_, at) => keyOf(`k${at}`, fwknop(bytes(32)), required));
    expect(codes(keys)).toEqual(expected);
    const elsewhere = keys.map((key) => ({ ...key, port: port(1) }));
    expect(new Set(codes(elsewhere))).toEqual(new Set(['key-unheard']));
  });

  it("at fwknop's own port", () => {
    expect(codes([keyOf('ada', STRONG, required)], config('spa', '62201/udp'))).toEqual(['keys-port-known']);
  });
});

describe('Keys whose codes open a door', () => {
  const DOOR = '[7000/tcp, 1????/tcp, 2????/tcp]';
  const people = (count: number, secret: Uint8Array = bytes(20)): readonly Key[] =>
    Array.from({ length: count }, (_, at) => keyOf(`k${at}`, { kind: 'totp', secret }));

  it.each([
    [10, []],
    [11, ['totp-many-people']],
  ])('%d of them', (count, expected) => {
    expect(codes(people(count), config(DOOR))).toEqual(expected);
  });

  it('are told of as many tries as they cost, and of secrets that can be guessed', () => {
    const [many] = ofKeys(config(DOOR), people(11), WALL);
    expect(many?.text).toBe(
      'the codes of 11 keys open it, so that a guesser needs one try where it would be 11',
    );
    expect(codes(people(1, bytes(9)), config(DOOR))).toEqual(['weak-key']);
    // The address that is opened for is the one that knocked: there is none to be named.
    expect(codes(people(1), config(DOOR))).toEqual([]);
  });
});
