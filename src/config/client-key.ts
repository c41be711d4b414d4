import { isPort, PORT_MAX, type Port } from '../packet/port.ts';
import { isDoorName } from '../policy/door-name.ts';
import { PUBLIC_KEY_BYTES } from '../spa/key.ts';
import { parseSshPublicKey } from '../spa/sshsig.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { parseBytes } from './key-credential.ts';

/*
 * The file that a client knocks with: lines of "name: value", which are YAML and can be read by sed as well. No fault
 * repeats a value, since any of them may be a secret that stands in the wrong place.
 */

/** What a packet is proven with. */
export type ClientProof =
  | { readonly kind: 'secret'; readonly secret: Uint8Array }
  /** `seed`: the 32 bytes of RFC 8032 from which both halves of the key follow. */
  | { readonly kind: 'ed25519'; readonly seed: Uint8Array }
  /** The private half is in an agent. `line`: as it stands in `id_ed25519.pub`. */
  | { readonly kind: 'ssh'; readonly publicKey: Uint8Array; readonly line: string };

export interface ClientKey {
  readonly realm: Uint8Array;
  /** Null: the file names the realm alone. */
  readonly proof: ClientProof | null;
  /** Where the server hears keys; null: the default. */
  readonly port: Port | null;
  readonly doors: readonly string[];
}

export type ReadClientKey =
  | { readonly ok: true; readonly key: ClientKey }
  | { readonly ok: false; readonly faults: readonly Fault[] };

const REALM_BYTES = 32;
const SEED_BYTES = PUBLIC_KEY_BYTES;
const SECRET_BYTES = { min: 16, max: 1024 } as const;
const LINES_MAX = 256;
const NAMES = ['realm', 'secret', 'ed25519_private', 'ssh', 'port', 'doors'] as const;
type Name = (typeof NAMES)[number];

/** The text of the file. `about`: what it is, in one line. */
export function formatClientKey({ realm, proof, port, doors }: ClientKey, about: string): string {
  const base64 = (bytes: Uint8Array): string => `base64:${Buffer.from(bytes).toString('base64')}`;
  return [
    `# ${about}`,
    `realm: ${base64(realm)}`,
    ...(proof === null ? [] : [proofLine(proof, base64)]),
    ...(port === null ? [] : [`port: ${port}`]),
    `doors: [${doors.join(', ')}]`,
    '',
  ].join('\n');
}

function proofLine(proof: ClientProof, base64: (bytes: Uint8Array) => string): string {
  if (proof.kind === 'secret') return `secret: ${base64(proof.secret)}`;
  if (proof.kind === 'ed25519') return `ed25519_private: ${base64(proof.seed)}`;
  return `ssh: ${proof.line}`;
}

/** Reads what `formatClientKey` wrote. `file` only names it in the faults. */
export function parseClientKey(text: string, file: string): ReadClientKey {
  const faults: Fault[] = [];
  const fault = (line: number, key: string, problem: string, fix: string): void => {
    faults.push({ file, line, column: 1, key, problem, fix });
  };
  const found = new Map<Name, { readonly value: string; readonly line: number }>();
  const lines = text.split('\n');
  if (lines.length > LINES_MAX)
    fault(1, WHOLE_FILE, 'this is no key', 'name the file that nfknock key new made');
  for (const [index, each] of lines.slice(0, LINES_MAX).entries()) {
    if (/^\s*(#|$)/.test(each)) continue;
    const [, word = '', value = ''] = /^([a-z0-9_]+):\s+(.*?)\s*$/.exec(each) ?? [];
    const name = NAMES.find((known) => known === word);
    if (name === undefined || found.has(name)) {
      const problem = name === undefined ? 'this line is none of a key' : 'this stands here twice';
      fault(index + 1, name ?? WHOLE_FILE, problem, 'name the file that nfknock key new made');
      break;
    }
    found.set(name, { value: value.replace(/^(["'])(.*)\1$/, '$2'), line: index + 1 });
  }
  if (faults.length > 0) return { ok: false, faults };

  const take = <T>(name: Name, read: (value: string) => T | undefined, form: string): T | null => {
    const entry = found.get(name);
    if (entry === undefined) return null;
    const value = read(entry.value);
    if (value === undefined) fault(entry.line, name, 'this is not what belongs here', `expected ${form}`);
    return value ?? null;
  };
  const bytes =
    (min: number, max: number) =>
    (value: string): Buffer | undefined => {
      const read = parseBytes(value);
      return read !== undefined && read.length >= min && read.length <= max ? read : undefined;
    };
  const realm = take('realm', bytes(REALM_BYTES, REALM_BYTES), `base64: and ${REALM_BYTES} bytes`);
  const secret = take('secret', bytes(SECRET_BYTES.min, SECRET_BYTES.max), 'base64: and the secret');
  const seed = take('ed25519_private', bytes(SEED_BYTES, SEED_BYTES), `base64: and ${SEED_BYTES} bytes`);
  const ssh = take('ssh', readSsh, 'a line of ~/.ssh/id_ed25519.pub');
  const port = take('port', readPort, `1 to ${PORT_MAX}`);
  const doors = take('doors', readDoors, 'names of doors in brackets') ?? [];
  const proofs: readonly ClientProof[] = [
    ...(secret === null ? [] : [{ kind: 'secret', secret } as const]),
    ...(seed === null ? [] : [{ kind: 'ed25519', seed } as const]),
    ...(ssh === null ? [] : [ssh]),
  ];
  if (!found.has('realm'))
    fault(1, 'realm', 'the realm of the server is missing', 'name the file that nfknock key new made');
  if (proofs.length > 1)
    fault(1, WHOLE_FILE, 'more than one thing to prove a packet with stands here', 'keep one of them');
  if (faults.length > 0 || realm === null) return { ok: false, faults };
  return { ok: true, key: { realm, proof: proofs[0] ?? null, port, doors } };
}

function readSsh(line: string): Extract<ClientProof, { kind: 'ssh' }> | undefined {
  const read = parseSshPublicKey(line);
  return read.ok ? { kind: 'ssh', publicKey: read.publicKey, line } : undefined;
}

function readPort(value: string): Port | undefined {
  const number = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  return isPort(number) ? number : undefined;
}

function readDoors(value: string): readonly string[] | undefined {
  const names = /^\[(.*)\]$/
    .exec(value)?.[1]
    ?.split(',')
    .map((name) => name.trim());
  return names?.every(isDoorName) === true ? names : undefined;
}
