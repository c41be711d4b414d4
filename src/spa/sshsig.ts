import { decodeBase64 } from './base64.ts';
import { PUBLIC_KEY_BYTES } from './key.ts';

/*
 * OpenSSH's signatures of files (PROTOCOL.sshsig), which ssh-agent gives and `ssh-keygen -Y sign` writes: what is signed
 * is not the message but a text about it, so that no signature made for one purpose serves another.
 */

/** What our signatures are for; `ssh-keygen -Y sign -n nfknock`. */
export const NAMESPACE = 'nfknock';
const MAGIC = 'SSHSIG';
const HASH = 'sha512';
const ED25519 = 'ssh-ed25519';
/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;

/** What the SSH key signs in place of a message with this SHA-512. */
export function sshsigText(sha512: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(MAGIC), ...[NAMESPACE, '', HASH].map(stringOf), stringOf(sha512)]);
}

/** A public key as the agent knows it. */
export function sshKeyBlob(publicKey: Uint8Array): Buffer {
  return Buffer.concat([stringOf(ED25519), stringOf(publicKey)]);
}

/** The 64 bytes of a signature as the agent gives it; undefined: it is none of Ed25519. */
export function signatureOfBlob(blob: Uint8Array): Buffer | undefined {
  const [type, signature, ...rest] = stringsOf(blob) ?? [];
  const sound =
    type?.toString('latin1') === ED25519 && signature?.length === SIGNATURE_BYTES && rest.length === 0;
  return sound ? signature : undefined;
}

/** The 64 bytes of what `ssh-keygen -Y sign` writes; undefined: it is none of Ed25519, or not for us. */
export function signatureOfArmor(text: string): Buffer | undefined {
  const match = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\s*$/.exec(
    text,
  );
  const blob = Buffer.from(match?.[1] ?? '', 'base64');
  const head = MAGIC.length + 4;
  if (blob.toString('latin1', 0, head) !== `${MAGIC}\0\0\0\u0001`) return undefined;
  const [, namespace, , , signature, ...rest] = stringsOf(blob.subarray(head)) ?? [];
  if (namespace?.toString('latin1') !== NAMESPACE || signature === undefined || rest.length > 0)
    return undefined;
  return signatureOfBlob(signature);
}

/** A line of `id_ed25519.pub`: the key; or, of what type the line is instead, in so far as that can be told. */
export type SshPublicKey =
  | { readonly ok: true; readonly publicKey: Buffer }
  | { readonly ok: false; readonly type: string | null };

/** Reads `ssh-ed25519 AAAA… comment`. */
export function parseSshPublicKey(line: string): SshPublicKey {
  const [type = '', base64 = ''] = line.trim().split(/\s+/);
  if (type !== ED25519) {
    const known = /^(sk-)?(ssh|ecdsa)-[a-z0-9@.-]{1,60}$/.test(type);
    return { ok: false, type: known ? type : null };
  }
  const [inner, publicKey, ...rest] =
    stringsOf(decodeBase64(base64.replace(/={1,2}$/, '')) ?? Buffer.alloc(0)) ?? [];
  const sound =
    inner?.toString('latin1') === ED25519 && publicKey?.length === PUBLIC_KEY_BYTES && rest.length === 0;
  return sound && publicKey !== undefined ? { ok: true, publicKey } : { ok: false, type };
}

/** A string of the SSH protocol: its length in four bytes, then itself. */
function stringOf(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The strings that some bytes are, to the last of them; undefined where a length says more than is there. */
function stringsOf(bytes: Uint8Array): readonly Buffer[] | undefined {
  const buffer = Buffer.from(bytes);
  const found: Buffer[] = [];
  let at = 0;
  while (at < buffer.length) {
    if (at + 4 > buffer.length) return undefined;
    const end = at + 4 + buffer.readUInt32BE(at);
    if (end > buffer.length) return undefined;
    found.push(buffer.subarray(at + 4, end));
    at = end;
  }
  return found;
}
