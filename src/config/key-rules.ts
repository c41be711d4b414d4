import type { Credential, Key } from '../spa/key.ts';
import { keyIdOf } from '../spa/v1.ts';
import type { Reading } from './document.ts';
import type { FoundKey } from './key-entry.ts';

/** What must hold of several keys together. */
export function crossCheckKeys(keys: readonly FoundKey[], hasRealm: boolean, reading: Reading): void {
  const first = new Map<string, string>();
  let toldOfRealm = hasRealm;
  for (const { key, spot } of keys) {
    for (const credential of credentialsOf(key)) {
      const identity = identityOf(credential);
      const other = first.get(identity);
      if (other !== undefined && other !== key.name) {
        // A packet could be either's; and who has the one could write packets of the other.
        reading.fault(
          spot,
          `this is the same secret or key as that of ${other}`,
          'give each key its own (nfknock key new)',
        );
      }
      first.set(identity, other ?? key.name);
      if (!toldOfRealm && isV1(credential)) {
        const fix = 'write "realm: base64:" and 32 random bytes at the top (nfknock key new does)';
        reading.fault(spot, 'this key needs a realm, and the file has none', fix);
        toldOfRealm = true;
      }
    }
  }
}

function credentialsOf({ credential, previous }: Key): readonly Credential[] {
  return previous === null ? [credential] : [credential, previous.credential];
}

function isV1({ kind }: Credential): boolean {
  return kind === 'secret' || kind === 'ed25519' || kind === 'ssh';
}

/** What may stand once: by it packets are told apart. */
function identityOf(credential: Credential): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  switch (credential.kind) {
    case 'fwknop':
      return `fwknop ${hex(credential.hmac)}`;
    case 'totp':
      return `totp ${hex(credential.secret)}`;
    case 'doorman':
      return `doorman ${credential.group} ${hex(credential.secret)}`;
    case 'secret':
    case 'ed25519':
    case 'ssh':
      return `v1 ${keyIdOf(credential)}`;
    default:
      return credential satisfies never;
  }
}
