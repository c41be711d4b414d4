import { readFileSync, rmSync } from 'node:fs';
import { type ClientKey, formatProfile } from '../../config/client-key.ts';
import { shipped } from '../../files/shipped.ts';
import { formatPort, type Port, type PortRange, type PortSpec } from '../../packet/port.ts';
import { digitsOf, knocksOf } from '../../spa/code-template.ts';
import { SPA_PORT } from '../../spa/v1.ts';
import { shellWord } from '../../text/shell.ts';
import { usage } from '../failure.ts';
import { writeNew } from '../new-file.ts';
import type { MadeKey } from './make-key.ts';

/** What the other side of a key needs, once. */
export interface Handout {
  /** What the client keeps: its key file, or a stanza of `~/.fwknoprc`. */
  readonly text: string;
  /** The same for a camera. */
  readonly qr: string;
  /** How it knocks, given the name of the file. */
  readonly use: (file: string) => readonly string[];
  /** What to do with the text, where it is no file of the client's. */
  readonly add?: string;
  /** What the client keeps besides, so that the name of the host is enough on its command line. */
  readonly profile?: string;
}

export interface ForWhom {
  readonly name: string;
  readonly person: string | null;
  /** What this server is called by its clients. */
  readonly host: string;
  readonly port: Port | null;
  readonly realm: Uint8Array;
  readonly doors: readonly string[];
  readonly opens: readonly PortRange[];
  /** The knocks of its doors that take a one-time code. */
  readonly codes: readonly (readonly PortSpec[])[];
}

/** Ports that a packet of fwknop asks for: a few, since its client makes no packet of more than 440 bytes. */
const FWKNOP_PORTS_MAX = 8;
const ESCAPE_ON = '\u001b[97;40m';
const ESCAPE_OFF = '\u001b[0m';

export function handoutOf(made: MadeKey, whom: ForWhom): Handout {
  if (made.kind === 'totp') return ofCodes(made.secret, whom);
  return made.kind === 'fwknop' ? ofFwknop(made, whom) : ofClient({ ...whom, proof: made.proof }, whom);
}

function ofClient(key: ClientKey, { name, person, host, doors }: ForWhom): Handout {
  const whose = person === null ? '' : ` of ${person}`;
  const about =
    key.proof?.kind === 'ssh'
      ? `nfknock key ${name}${whose} at ${host}: nothing in it opens without the SSH key`
      : `nfknock key ${name}${whose} at ${host}: anyone who has this opens ${doors.join(', ')}; keep it 0600`;
  const text = formatProfile({ host, knock: [], key, doors }, about);
  return {
    text,
    qr: text.replace(/^#.*\n/, ''),
    use: (file) => doors.map((door) => `nfknock knock ${host} --door ${door} --key ${wordOf(file)}`),
  };
}

/** What every authenticator reads (Google's "Key Uri Format"). */
function ofCodes(secret: string, { name, host, doors, codes }: ForWhom): Handout {
  const knock = codes[0] ?? [];
  const digits = digitsOf(knock);
  const label = `${encodeURIComponent(host)}:${encodeURIComponent(name)}`;
  const issuer = encodeURIComponent(host);
  const uri = `otpauth://totp/${label}?secret=${secret}&issuer=${issuer}&algorithm=SHA1&digits=${digits}&period=30`;
  const code = '1234567890'.slice(0, digits);
  const apps =
    digits === 6
      ? 'any authenticator app'
      : `an authenticator app that shows ${digits} digits (Aegis, 2FAS, FreeOTP+, 1Password; Google Authenticator shows 6 on some phones)`;
  const about = `nfknock at ${host}, by codes: nfknock knock ${host} --code and what the authenticator shows; keep it 0600`;
  return {
    text: `${uri}\n`,
    qr: uri,
    // A profile is of one door.
    ...(codes.length === 1 ? { profile: formatProfile({ host, knock, key: null, doors }, about) } : {}),
    add: `Add it to ${apps}`,
    use: () =>
      codes.map((knocks) => {
        const made = (knocksOf(knocks, code) ?? []).map((knock) => formatPort(knock).replace('/tcp', ''));
        const ports = knocks.map((knock) => wordOf(formatPort(knock).replace('/tcp', '')));
        return `nfknock knock ${host} ${ports.join(' ')} --code ${code}   (the code of the moment; any client: knock ${host} ${made.join(' ')})`;
      }),
  };
}

function ofFwknop(made: Extract<MadeKey, { kind: 'fwknop' }>, whom: ForWhom): Handout {
  const [key, hmac] = [made.key.toString('base64'), made.hmac.toString('base64')];
  const ports = whom.opens.slice(0, FWKNOP_PORTS_MAX).map(({ protocol, first }) => `${protocol}/${first}`);
  const rows = [
    ['SPA_SERVER', whom.host],
    ['SPA_SERVER_PORT', String(whom.port ?? SPA_PORT)],
    ['ACCESS', ports.join(',')],
    ['ALLOW_IP', 'source'],
    ['USE_HMAC', 'Y'],
    ['KEY_BASE64', key],
    ['HMAC_KEY_BASE64', hmac],
  ];
  const lines = rows.map(([option = '', value = '']) => `${option.padEnd(24)}${value}`);
  return {
    text: [`[${whom.name}]`, ...lines, ''].join('\n'),
    // As fwknop's own console-qr writes it, for the apps that read that.
    qr: `KEY_BASE64:${key} HMAC_KEY_BASE64:${hmac} `,
    use: (file) => [
      file === '' ? `fwknop -n ${whom.name}` : `fwknop --rc-file ${wordOf(file)} -n ${whom.name}`,
    ],
  };
}

/** Where it goes: shown on a terminal, or into a file that nobody else reads. */
export interface Showing {
  readonly out: string | undefined;
  readonly qr: boolean;
  readonly shell: boolean;
}

/** Secrets belong on no pipe and in no log of a build. Throws CommandFailure before anything is made. */
export function mayShow({ out }: Showing): void {
  if (out === undefined && !process.stdout.isTTY)
    throw usage(
      'standard output is no terminal, and what would be printed is secret: add --out FILE, which is made with mode 0600',
    );
}

/**
 * Writes what is kept into files, where that is wanted; answers with what takes them away again. Throws CommandFailure.
 */
export async function keep(handout: Handout, { out, qr, shell }: Showing): Promise<() => void> {
  if (out === undefined) return () => undefined;
  const made: string[] = [];
  const undo = (): void => {
    for (const file of made) rmSync(file, { force: true });
  };
  try {
    for (const [file, text, mode] of [
      [out, handout.text, 0o600],
      ...(qr ? [[`${out}.qr`, await qrOf(handout.qr, 'none'), 0o600] as const] : []),
      ...(shell ? [[`${out}.sh`, shellClient(), 0o700] as const] : []),
      ...(handout.profile === undefined ? [] : [[`${out}.profile`, handout.profile, 0o600] as const]),
    ] as const) {
      writeNew(file, text, mode);
      made.push(file);
    }
    return undo;
  } catch (error) {
    undo();
    throw error;
  }
}

/** What is said when all is done. */
export async function shown(handout: Handout, { out, qr, shell }: Showing, file: string): Promise<string> {
  const use = handout.use(out ?? file).map((line) => `  ${line}`);
  if (out !== undefined) {
    const beside = [
      ...(qr ? [`${out}.qr (its QR code)`] : []),
      ...(shell ? [`${out}.sh (a client of sh)`] : []),
      ...(handout.profile === undefined ? [] : [`${out}.profile (its profile, docs/clients.md)`]),
    ];
    const also = beside.length === 0 ? '' : `, ${beside.join(', ')}`;
    return `What the client needs is in ${out}${also}. It knocks with:\n${use.join('\n')}\n`;
  }
  const where = file === '' ? 'append it to ~/.fwknoprc (0600)' : `save it as ${file} (0600)`;
  return [
    `${handout.add ?? `On the client ${where}`}; it is shown this once:\n`,
    handout.text,
    ...(qr ? [await qrOf(handout.qr, 'ours')] : []),
    ...(shell ? ['A client of sh, as nfknock-knock.sh:\n', shellClient()] : []),
    ...(handout.profile === undefined ? [] : [`Its profile (docs/clients.md):\n\n${handout.profile}`]),
    `It knocks with:\n${use.join('\n')}\n`,
  ].join('\n');
}

/** For a camera; `ours`: white on black whatever the terminal's colours are. */
export async function qrOf(text: string, colours: 'ours' | 'none'): Promise<string> {
  const { renderUnicodeCompact } = await import('uqr');
  const lines = renderUnicodeCompact(text, { border: 2 }).split('\n');
  // White on black whatever the terminal's own colours are: many cameras read no other.
  const shade = colours === 'ours' ? ([ESCAPE_ON, ESCAPE_OFF] as const) : (['', ''] as const);
  return `${lines.map((line) => `${shade[0]}${line}${shade[1]}`).join('\n')}\n`;
}

function shellClient(): string {
  return readFileSync(shipped('deploy/nfknock-knock.sh'), 'utf8');
}

function wordOf(file: string): string {
  return /^[\w./~-]+$/.test(file) ? file : shellWord(file);
}
