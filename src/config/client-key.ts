import { formatPort, isPort, PORT_MAX, type Port, type PortSpec, parseKnock } from '../packet/port.ts';
import { isDoorName } from '../policy/door-name.ts';
import { PUBLIC_KEY_BYTES } from '../spa/key.ts';
import { parseSshPublicKey } from '../spa/sshsig.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { parseBytes } from './key-credential.ts';

/*
 * The file that a client knocks with, its profile of one server: lines of "name: value", which are YAML and can be read by sed as well. No fault
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

/** All that a client keeps of one server. */
export interface Profile {
  /** What to connect to; null: what the profile is called. */
  readonly host: string | null;
  /** The sequence of its door, where it has one; with `?` for digits of a code. */
  readonly knock: readonly PortSpec[];
  readonly key: ClientKey | null;
  /** Those of the sequence, or of the key. */
  readonly doors: readonly string[];
}

type ReadProfile =
  | { readonly ok: true; readonly profile: Profile }
  | { readonly ok: false; readonly faults: readonly Fault[] };
type ReadClientKey =
  | { readonly ok: true; readonly key: ClientKey }
  | { readonly ok: false; readonly faults: readonly Fault[] };

const REALM_BYTES = 32;
const SEED_BYTES = PUBLIC_KEY_BYTES;
const SECRET_BYTES = { min: 16, max: 1024 } as const;
const LINES_MAX = 256;
const NAMES = ['host', 'realm', 'secret', 'ed25519_private', 'ssh', 'port', 'knock', 'doors'] as const;
/** Knocks of a sequence; longer ones are none that anybody has. */
const KNOCKS_MAX = 64;
type Name = (typeof NAMES)[number];

/** The text of the file. `about`: what it is, in one line. */
export function formatProfile({ host, knock, key, doors }: Profile, about: string): string {
  const base64 = (bytes: Uint8Array): string => `base64:${Buffer.from(bytes).toString('base64')}`;
  const { realm, proof, port } = key ?? { realm: null, proof: null, port: null };
  return [
    `# ${about}`,
    ...(host === null ? [] : [`host: ${host}`]),
    ...(realm === null ? [] : [`realm: ${base64(realm)}`]),
    ...(proof === null ? [] : [proofLine(proof, base64)]),
    ...(port === null ? [] : [`port: ${port}`]),
    ...(knock.length === 0 ? [] : [`knock: [${knock.map(formatPort).join(', ')}]`]),
    ...(doors.length === 0 ? [] : [`doors: [${doors.join(', ')}]`]),
    '',
  ].join('\n');
}

/** That of a key alone. */
export function formatClientKey(key: ClientKey, about: string): string {
  return formatProfile({ host: null, knock: [], key, doors: key.doors }, about);
}

function proofLine(proof: ClientProof, base64: (bytes: Uint8Array) => string): string {
  if (proof.kind === 'secret') return `secret: ${base64(proof.secret)}`;
  if (proof.kind === 'ed25519') return `ed25519_private: ${base64(proof.seed)}`;
  return `ssh: ${proof.line}`;
}

/** The key of a profile. `file` only names it in the faults. */
export function parseClientKey(text: string, file: string): ReadClientKey {
  const read = parseProfile(text, file);
  if (!read.ok) return read;
  const { key } = read.profile;
  if (key !== null) return { ok: true, key };
  const [problem, fix] = ['the realm of the server is missing', 'name the file that nfknock key new made'];
  return { ok: false, faults: [{ file, line: 1, column: 1, key: 'realm', problem, fix }] };
}

/** Reads what `formatProfile` wrote. `file` only names it in the faults. */
export function parseProfile(text: string, file: string): ReadProfile {
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
  const host = take('host', readHost, 'a name or address');
  const knock = take('knock', readKnocks, 'ports in brackets, such as [7000/tcp, 8000/udp]') ?? [];
  const proofs: readonly ClientProof[] = [
    ...(secret === null ? [] : [{ kind: 'secret', secret } as const]),
    ...(seed === null ? [] : [{ kind: 'ed25519', seed } as const]),
    ...(ssh === null ? [] : [ssh]),
  ];
  const byKey = found.has('realm') || proofs.length > 0 || knock.length === 0;
  if (byKey && !found.has('realm'))
    fault(1, 'realm', 'the realm of the server is missing', 'name the file that nfknock key new made');
  if (proofs.length > 1)
    fault(1, WHOLE_FILE, 'more than one thing to prove a packet with stands here', 'keep one of them');
  if (faults.length > 0) return { ok: false, faults };
  const key = realm === null ? null : { realm, proof: proofs[0] ?? null, port, doors };
  return { ok: true, profile: { host, knock, key, doors } };
}

/** Whether clients may call a server so: it goes onto command lines and into names of files. */
export function isHost(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/.test(text);
}

function readHost(value: string): string | undefined {
  return isHost(value) ? value : undefined;
}

function readKnocks(value: string): readonly PortSpec[] | undefined {
  const words = /^\[(.*)\]$/.exec(value)?.[1]?.split(',', KNOCKS_MAX + 1) ?? [];
  const knocks = words.flatMap((word) => parseKnock(word.trim()) ?? []);
  const all = knocks.length === words.length && knocks.length > 0 && knocks.length <= KNOCKS_MAX;
  return all ? knocks : undefined;
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
