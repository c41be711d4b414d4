import type { Cidr } from '../packet/cidr.ts';
import type { Port } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { CipherMode, Digest } from './fwknop-crypto.ts';

/** fwknop's two symmetric secrets, and what its client was told to use them with. */
export interface FwknopCredential {
  readonly kind: 'fwknop';
  readonly key: Uint8Array;
  /** Never empty: without it a used packet can be edited and used again. */
  readonly hmac: Uint8Array;
  readonly digest: Digest;
  readonly mode: CipherMode;
}

/** What proves an nfknock SPA v1 packet. `publicKey`: the 32 bytes of an Ed25519 key. */
export type V1Credential =
  | { readonly kind: 'secret'; readonly secret: Uint8Array }
  | { readonly kind: 'ed25519'; readonly publicKey: Uint8Array }
  | { readonly kind: 'ssh'; readonly publicKey: Uint8Array };

/** The secret of an authenticator's codes (RFC 6238). */
export interface TotpCredential {
  readonly kind: 'totp';
  readonly secret: Uint8Array;
}

export interface DoormanCredential {
  readonly kind: 'doorman';
  readonly group: string;
  readonly secret: Uint8Array;
}

export type Credential = FwknopCredential | V1Credential | TotpCredential | DoormanCredential;

/** A credential, whose it is, and what it may do. */
export interface Key {
  readonly name: string;
  /** Whose it is; null: nobody was named. */
  readonly person: string | null;
  readonly credential: Credential;
  /** What this key was before it was rotated: taken until the new one is first used, and no longer than until then. */
  readonly previous: { readonly credential: Credential; readonly until: number } | null;
  /** Names of the doors that it opens. */
  readonly doors: readonly string[];
  /** Whether a packet must name the address that it opens for. */
  readonly address: 'optional' | 'required';
  /** Networks that its packets may come from; empty: any. */
  readonly from: readonly Cidr[];
  /** Addresses of this machine that its packets may go to; empty: any. */
  readonly to: readonly Cidr[];
  /** The user that a packet of fwknop must name. */
  readonly user: string | null;
  /** The only UDP port that its packets may go to. */
  readonly port: Port | null;
  /** Milliseconds since 1970: from then on it opens nothing. */
  readonly expires: number | null;
  /** Openings in all. */
  readonly uses: number | null;
  /** Grants that it has at once; one more ends its oldest. */
  readonly holders: number | null;
  /** The longest time that a packet may ask for; null: the door's own. */
  readonly forMax: Milliseconds | null;
  readonly rate: { readonly knocks: number; readonly per: Milliseconds };
}

/** 32 random bytes that this server and all who knock at it know. It opens nothing. */
export interface RealmBytes {
  readonly bytes: Uint8Array;
  /** Milliseconds since 1970 after which packets of this realm are not taken; null: it is the present one. */
  readonly until: number | null;
}

/** What the key file holds. */
export interface KeyFile {
  /** The present realm first, then one that was replaced; none where no key needs one. */
  readonly realms: readonly RealmBytes[];
  /** In the order of the file. */
  readonly keys: readonly Key[];
}

/** Bytes of an Ed25519 public key. */
export const PUBLIC_KEY_BYTES = 32;

/** Whether a text can be a key's name: it stands in events, in commands and in what hooks are told. */
export function isKeyName(text: string): boolean {
  return /^[a-z0-9_][a-z0-9_-]{0,31}$/.test(text);
}

/** Whose key it is, as grants and events say it. */
export function holderOf({ name, person }: Pick<Key, 'name' | 'person'>): {
  readonly key: string;
  readonly person: string | null;
} {
  return { key: name, person };
}
