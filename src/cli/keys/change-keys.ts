import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../../clock.ts';
import { formatClientKey, isHost } from '../../config/client-key.ts';
import { parseDuration } from '../../config/duration.ts';
import { parseMoment } from '../../config/key-entry.ts';
import { type KeyEntry, withKey, withRealm, withRotated } from '../../config/key-file-edit.ts';
import type { PortSpec } from '../../packet/port.ts';
import { digitsOf } from '../../spa/code-template.ts';
import { isKeyName, type Key, type KeyFile } from '../../spa/key.ts';
import { quoted } from '../../text/plain.ts';
import type { KeyOptions } from '../commands/key.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { allOf, CommandFailure, usage } from '../failure.ts';
import { editKeys, type KeysOnDisk } from './edit-key-file.ts';
import { type Handout, handoutOf, keep, mayShow, type Showing, shown } from './handout.ts';
import { base64, type MadeKey, makeKey, takeSshKey } from './make-key.ts';
import { doorsNamed, type KeyPlace, keyPlace } from './place.ts';
import { tellDaemon } from './tell-daemon.ts';

const DAY = 86_400_000;
/** How long what was replaced is still taken, at most. */
const GRACE = 7 * DAY;
const REALM_BYTES = 32;

/** Makes a key, or takes an SSH key in; shows once what the other side needs. Rejects with CommandFailure. */
export async function newKey(named: string | undefined, options: KeyOptions): Promise<ExitCode> {
  const place = await keyPlace(options.config, options.keys);
  const [name, doors, made, limits, whom, showing] = allOf(
    () => keyName(named),
    () => doorsNamed(options.door ?? [], place, options.config),
    () => madeOf(options),
    () => limitsOf(options),
    () => whomOf(options, place),
    () => showingOf(options),
  );
  let handout: Handout | undefined;
  let undo = (): void => undefined;
  try {
    await editKeys(place.file, async (held) => {
      if (held.file.keys.some((key) => key.name === name))
        throw usage(`there is a key ${name} already: take another name, or rotate or revoke that one`);
      const { text, realm } = withRealmIn(held);
      handout = handoutOf(made, {
        name,
        ...whom,
        person: options.person ?? null,
        realm,
        doors,
        opens: doors.flatMap((door) => place.doors.get(door) ?? []),
        codes: codesOf(made, doors, place, options.config),
      });
      undo = await keep(handout, showing);
      return edited(
        withKey(text, name, { ...limits.before, [made.kind]: made.entry, doors, ...limits.after }),
        place,
      );
    });
  } catch (error) {
    undo();
    throw error;
  }
  const opens = doors.join(', ');
  say(`Key ${name} opens ${opens}; it is in ${place.file}.`);
  if (handout !== undefined) process.stdout.write(await shown(handout, showing, fileNameOf(made, name)));
  if (place.ports.length === 0 && made.kind !== 'totp')
    warn(`${options.config} names no port for keys, so no packet is heard: add listen: { spa: [62201/udp] }`);
  return tellDaemon(options.config);
}

/** Gives a key another secret; the one before it is taken until the new one is first used, and at most for `grace`. */
export async function rotateKey(named: string | undefined, options: KeyOptions): Promise<ExitCode> {
  const place = await keyPlace(options.config, options.keys);
  const [name, grace, showing] = allOf(
    () => keyName(named),
    () => graceOf(options.grace),
    () => showingOf(options),
  );
  const until = momentAfter(grace);
  let handout: Handout | undefined;
  let undo = (): void => undefined;
  let fileName = '';
  try {
    await editKeys(place.file, async (held) => {
      const key = keyNamed(name, held.file, place);
      const made = anotherOf(key, options);
      fileName = fileNameOf(made, name);
      const { text, realm } = withRealmIn(held);
      handout = handoutOf(made, {
        name,
        ...whomOf(options, place, key),
        person: key.person,
        realm,
        doors: key.doors,
        opens: key.doors.flatMap((door) => place.doors.get(door) ?? []),
        codes: codesOf(made, key.doors, place, options.config),
      });
      undo = await keep(handout, showing);
      return edited(withRotated(text, name, { kind: made.kind, credential: made.entry, until }), place);
    });
  } catch (error) {
    undo();
    throw error;
  }
  say(
    `Key ${name} is another; the old one is taken until the new one is first used, and until ${until} at most.`,
  );
  if (handout !== undefined) process.stdout.write(await shown(handout, showing, fileName));
  return tellDaemon(options.config);
}

/** Makes another realm, for when somebody has left with the old one, which is taken for 7 days more. */
export async function newRealm(options: KeyOptions): Promise<ExitCode> {
  const showing: Showing = { out: options.out, qr: false, shell: false };
  mayShow(showing);
  const place = await keyPlace(options.config, options.keys);
  const realm = randomBytes(REALM_BYTES);
  const until = momentAfter(GRACE);
  const text = formatClientKey({ realm, proof: null, port: null, doors: [] }, 'the new realm of this server');
  const line = `${text.split('\n')[1] ?? ''}\n`;
  const handout: Handout = { text: line, qr: '', use: () => [] };
  let undo = (): void => undefined;
  try {
    await editKeys(place.file, async (held) => {
      undo = await keep(handout, showing);
      return edited(withRealm(held.text, base64(realm), until), place);
    });
  } catch (error) {
    undo();
    throw error;
  }
  say(
    `The realm is another; the one before it is taken until ${until}. Until then put this line into each client's key file, in place of its "realm:"${options.out === undefined ? ':' : `; it is in ${options.out}.`}`,
  );
  if (options.out === undefined) process.stdout.write(line);
  return tellDaemon(options.config);
}

function madeOf({ ssh, fwknop, secret, totp }: KeyOptions): MadeKey {
  const asked = [ssh !== undefined, fwknop === true, secret === true, totp === true].filter((each) => each);
  if (asked.length > 1)
    throw usage('a key is of one kind: write one of --ssh, --fwknop, --secret and --totp');
  if (totp === true) return makeKey('totp');
  if (ssh !== undefined) return takeSshKey(ssh);
  return makeKey(fwknop === true ? 'fwknop' : secret === true ? 'secret' : 'ed25519');
}

function anotherOf({ name, credential: { kind } }: Key, { ssh }: KeyOptions): MadeKey {
  if (kind === 'ssh') {
    if (ssh !== undefined) return takeSshKey(ssh);
    throw usage(`${name} is an SSH key: make another, and name its public half with --ssh FILE`);
  }
  if (ssh !== undefined)
    throw usage(`${name} is no SSH key but of kind ${kind}: leave --ssh out, or make a new key`);
  if (kind === 'doorman')
    throw usage(`a key of kind ${kind} can't be rotated: make a new one, and revoke ${name}`);
  return makeKey(kind);
}

function limitsOf({ person, expires }: KeyOptions): { readonly before: KeyEntry; readonly after: KeyEntry } {
  const end = expires === undefined ? undefined : parseMoment(expires);
  if (expires !== undefined && end === undefined)
    throw usage(`${quoted(expires)} is no date: write 2027-03-31, or 2027-03-31T18:00:00Z`);
  if (end !== undefined && end <= systemClock.wall())
    throw usage(`${quoted(expires ?? '')} is past: the key would open nothing`);
  return {
    before: person === undefined ? {} : { person },
    after: expires === undefined ? {} : { expires },
  };
}

/** The knocks of the doors that a key of codes opens, one length for all, since an authenticator shows one. */
function codesOf(
  { kind }: MadeKey,
  doors: readonly string[],
  { codes }: KeyPlace,
  config: string,
): readonly (readonly PortSpec[])[] {
  if (kind !== 'totp') return [];
  const without = doors.find((door) => !codes.has(door));
  if (without !== undefined)
    throw usage(
      `the door ${without} takes no code: write "?" for its digits into ${config}, for example knock: [7000/tcp, 1????/tcp, 2????/tcp]`,
    );
  const own = doors.flatMap((door) => [codes.get(door) ?? []]);
  const lengths = [...new Set(own.map(digitsOf))];
  if (lengths.length > 1)
    throw usage(
      `these doors take codes of ${lengths.join(' and ')} digits, and an authenticator shows one length: make a key for each length`,
    );
  return own;
}

function showingOf({ out, qr = false, shell = false, fwknop = false, totp = false }: KeyOptions): Showing {
  if (out !== undefined && (out === '' || out === '-')) throw usage('--out takes the name of a file');
  if (shell && fwknop)
    throw usage("the client of sh is for nfknock's own packet: leave --shell or --fwknop out");
  if (shell && totp) throw usage('a code is knocked with any client: leave --shell or --totp out');
  const showing = { out, qr, shell };
  mayShow(showing);
  return showing;
}

function whomOf(
  { host }: KeyOptions,
  { ports }: KeyPlace,
  key?: Key,
): { readonly host: string; readonly port: Key['port'] } {
  const named = host ?? hostname();
  if (!isHost(named))
    throw usage(
      `${quoted(named)} can't be the name of a host: write the name or address that clients use, with --host`,
    );
  return { host: named, port: key?.port ?? ports[0] ?? null };
}

export function keyName(text: string | undefined): string {
  if (text === undefined) throw usage('name the key, for example ada-laptop');
  if (isKeyName(text)) return text;
  throw usage(
    `${quoted(text)} can't be the name of a key: write at most 32 of a-z, 0-9, _ and -, the first of them no -`,
  );
}

function fileNameOf({ kind }: MadeKey, name: string): string {
  return kind === 'fwknop' || kind === 'totp' ? '' : `${name}.key`;
}

/** The text with a realm, which the first key makes. */
export function withRealmIn({ text, file }: KeysOnDisk): {
  readonly text: string;
  readonly realm: Uint8Array;
} {
  const present = file.realms.find(({ until }) => until === null);
  if (present !== undefined) return { text, realm: present.bytes };
  const realm = randomBytes(REALM_BYTES);
  const line = `realm: ${base64(realm)}\n`;
  // Before the keys, which go on being added at the end.
  const at = /^keys\s*:/m.exec(text)?.index ?? text.length;
  return { text: `${text.slice(0, at)}${line}${text.slice(at)}`, realm };
}

export function keyNamed(name: string, { keys }: KeyFile, { file }: KeyPlace): Key {
  const key = keys.find((each) => each.name === name);
  if (key !== undefined) return key;
  throw usage(`${file} has no key ${name}: nfknock key list shows those that are there`);
}

export function edited(text: string | undefined, { file }: KeyPlace): { readonly text: string } {
  if (text !== undefined) return { text };
  throw new CommandFailure(EXIT.failed, `${file} has a form that can't be edited: change it by hand`);
}

function graceOf(text: string | undefined): number {
  if (text === undefined) return GRACE;
  const grace = parseDuration(text);
  if (grace !== undefined && grace >= 0) return grace;
  throw usage(`${quoted(text)} is no length of time: write for example 7d or 12h`);
}

/** Whole seconds, as the key file has them. */
function momentAfter(milliseconds: number): string {
  return new Date(systemClock.wall() + milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function warn(text: string): void {
  process.stderr.write(`nfknock: ${text}\n`);
}
