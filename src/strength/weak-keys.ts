import { readsKeys } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import type { Credential, Key } from '../spa/key.ts';
import { secretBits } from '../spa/secret-bits.ts';
import { SPA_PORT } from '../spa/v1.ts';
import { type Warning, warning } from './warning.ts';
import { ofCodeKeys } from './weak-codes.ts';

/** Below it whoever reads one packet can guess the secret. */
const BITS_LEAST = 80;
/** Milliseconds before its end that a key is warned of. */
const SOON = 14 * 86_400_000;

/** The bits that the weakest of a key's secrets has at most; null: nothing secret is here. */
export function keyBits(credential: Credential): number | null {
  switch (credential.kind) {
    case 'fwknop':
      return Math.min(secretBits(credential.key), secretBits(credential.hmac));
    case 'secret':
    case 'totp':
    case 'doorman':
      return secretBits(credential.secret);
    default:
      return null;
  }
}

/** What makes keys weaker, or of less use, than they could be. `wall`: now, in milliseconds since 1970. */
export function ofKeys(config: Config, keys: readonly Key[], wall: number): readonly Warning[] {
  if (!readsKeys(config)) return [];
  return [
    ...keys.flatMap((key) => ofKey(key, wall)),
    ...ofAddresses(keys),
    ...ofCodeKeys(config, keys),
    ...ofPorts(config),
  ];
}

/** Whether anyone who has read one of its packets can guess the key. */
export function isWeak({ credential }: Key): boolean {
  const bits = keyBits(credential);
  return bits !== null && bits < BITS_LEAST;
}

function ofKey({ name, credential, expires }: Key, wall: number): readonly Warning[] {
  const found: Warning[] = [];
  const bits = keyBits(credential);
  if (bits !== null && bits < BITS_LEAST) {
    const text = `about ${bits} bits at most: anyone who reads one packet can guess it`;
    found.push(warning('weak-key', `keys.${name}`, text, renewal(name, credential)));
  }
  if (credential.kind === 'fwknop' && ['md5', 'sha1'].includes(credential.digest)) {
    const text = `an HMAC by ${credential.digest}, which is out of date`;
    const fix = 'take sha256, here and in the client (--hmac-digest-type)';
    found.push(warning('old-hmac', `keys.${name}.fwknop.digest`, text, fix));
  }
  if (expires === null || expires > wall + SOON) return found;
  const day = new Date(expires).toISOString().slice(0, 10);
  const [text, fix] =
    expires <= wall
      ? [`it expired on ${day}, and opens nothing`, `remove it: nfknock key revoke ${name}`]
      : [`it expires on ${day}`, 'write a later day, or tell whose it is'];
  return [...found, warning('key-expires-soon', `keys.${name}.expires`, text, fix)];
}

function renewal(name: string, { kind }: Credential): string {
  if (kind === 'fwknop' || kind === 'secret') return `draw another: nfknock key rotate ${name}`;
  return 'make a key of another kind: nfknock key new';
}

/** Said once: it is the same for all of them. */
function ofAddresses(keys: readonly Key[]): readonly Warning[] {
  const names = keys.flatMap(({ name, address, credential: { kind } }) =>
    address === 'optional' && kind !== 'totp' ? [name] : [],
  );
  if (names.length === 0) return [];
  const which =
    names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
  const text = `packets of ${which} need not name an address, so anyone who delays one can send it from another address`;
  const fix = 'write "address: required" where the client knows its address (--address; fwknop: -a)';
  return [warning('address-optional', 'keys', text, fix)];
}

function ofPorts({ listen }: Config): readonly Warning[] {
  return listen.spa
    .filter((port) => Number(port) === SPA_PORT)
    .map((port) => {
      const text = `${port}/udp is fwknop's own port, which is looked for`;
      return warning('keys-port-known', 'listen.spa', text, 'choose another, and tell it the clients');
    });
}
