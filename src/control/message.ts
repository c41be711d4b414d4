import { isIP } from 'node:net';
import { formatAddress, parseAddress, unmapped } from '../packet/address.ts';
import { isDoorName } from '../policy/door-name.ts';
import { isPrintable, printableJson } from '../text/plain.ts';
import type { Answers, Refusal } from './answers.ts';

/** Counted up where an older client would misread an answer. */
export const PROTOCOL_VERSION = 1;

/** The longest time that can be asked for, in milliseconds: an ipset entry's timeout ends at 2,147,483 s. */
const FOR_MAX = 2_147_483_000;
/** Characters of a reason, which is kept for audit and shown in tables. */
export const REASON_CHARACTERS_MAX = 200;
const SHOWN_CHARACTERS_MAX = 40;

/**
 * What can be asked. Addresses are IPv4 or IPv6 text without a zone; `for` is in milliseconds. A list with a
 * `limit` is of that many rows at most; of `sources` those with the most strikes come first. With `here` other members of
 * a fleet hear nothing of it.
 */
export type Request =
  | { readonly command: 'status' }
  | { readonly command: 'grants'; readonly limit?: number }
  | {
      readonly command: 'grant';
      readonly door: string;
      readonly address: string;
      readonly for?: number;
      readonly reason?: string;
      readonly here?: true;
    }
  | {
      readonly command: 'revoke';
      readonly address: string;
      readonly door?: string;
      readonly here?: true;
    }
  | { readonly command: 'bans'; readonly limit?: number }
  | { readonly command: 'ban'; readonly address: string; readonly for?: number; readonly here?: true }
  | { readonly command: 'unban'; readonly address: string; readonly here?: true }
  | { readonly command: 'unban'; readonly all: true; readonly here?: true }
  | { readonly command: 'sources'; readonly limit?: number }
  | { readonly command: 'explain'; readonly address: string }
  | { readonly command: 'keys'; readonly limit?: number }
  | { readonly command: 'key_revoke'; readonly name: string; readonly cut?: true }
  | { readonly command: 'reload' }
  | { readonly command: 'stand_down' }
  | { readonly command: 'subscribe' };

export type CommandName = Request['command'];

/** The answer that belongs to a request. */
export type AnswerTo<Asked extends Request> = Answers[Asked['command']];

export type ReadRequest =
  | { readonly ok: true; readonly id: number; readonly request: Request }
  | { readonly ok: false; readonly id: number | null; readonly error: Refusal };

type Fields = Readonly<Record<string, unknown>>;

/** One field of a request: what it is for, and whether a value will do. */
interface Field {
  readonly allowed: string;
  fits(value: unknown): boolean;
}

const address: Field = {
  allowed: 'an IPv4 or IPv6 address',
  fits: (value) => typeof value === 'string' && isIP(value) !== 0 && !value.includes('%'),
};
const door: Field = {
  allowed: "a door's name",
  fits: (value) => typeof value === 'string' && isDoorName(value),
};
const keyName: Field = {
  allowed: "a key's name",
  fits: (value) => typeof value === 'string' && /^[a-z0-9_][a-z0-9_-]{0,31}$/.test(value),
};
/** Forged packets may come from these; nobody has them. */
const NOBODY: readonly string[] = ['0.0.0.0', '::'];
const host: Field = {
  allowed: `the address of one host, IPv4 as 203.0.113.9; ${NOBODY.join(' and ')} are nobody's`,
  fits: (value) => {
    const read = typeof value === 'string' ? parseAddress(value) : undefined;
    return read !== undefined && unmapped(read) === read && !NOBODY.includes(formatAddress(read));
  },
};
const time: Field = {
  allowed: `milliseconds, 1 to ${FOR_MAX}`,
  fits: (value) => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= FOR_MAX,
};
const reason: Field = {
  allowed: `1 to ${REASON_CHARACTERS_MAX} printable characters`,
  fits: (value) => isPlainText(value, REASON_CHARACTERS_MAX),
};
const limit: Field = {
  allowed: 'how many rows at most, from 1',
  fits: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 1,
};
const all: Field = { allowed: 'true', fits: (value) => value === true };

/** The fields of every command. */
const FIELDS: Readonly<
  Record<CommandName, { needs: Readonly<Record<string, Field>>; takes: Readonly<Record<string, Field>> }>
> = {
  status: { needs: {}, takes: {} },
  grants: { needs: {}, takes: { limit } },
  grant: { needs: { door, address: host }, takes: { for: time, reason, here: all } },
  revoke: { needs: { address }, takes: { door, here: all } },
  bans: { needs: {}, takes: { limit } },
  ban: { needs: { address: host }, takes: { for: time, here: all } },
  unban: { needs: {}, takes: { address, all, here: all } },
  sources: { needs: {}, takes: { limit } },
  explain: { needs: { address }, takes: {} },
  keys: { needs: {}, takes: { limit } },
  key_revoke: { needs: { name: keyName }, takes: { cut: all } },
  reload: { needs: {}, takes: {} },
  stand_down: { needs: {}, takes: {} },
  subscribe: { needs: {}, takes: {} },
};

/** Reads one line of a client. Whatever is in it, the answer is a request or says what is wrong with it. */
export function readRequest(line: string): ReadRequest {
  const message = parseObject(line);
  if (message === undefined) {
    return refuse(
      null,
      'syntax',
      'a request is one JSON object on one line',
      'send {"v":1,"id":1,"command":"status"}',
    );
  }
  const { v, command } = message;
  const id = readId(message);
  if (v !== PROTOCOL_VERSION) {
    const fix = `use the nfknock command of the daemon's own version (send "v":${PROTOCOL_VERSION})`;
    return refuse(id, 'version', `this daemon speaks version ${PROTOCOL_VERSION}`, fix);
  }
  if (id === null) return refuse(null, 'syntax', '"id" is missing', 'number your requests: "id":1');
  if (typeof command !== 'string' || !isCommand(command)) {
    const known = Object.keys(FIELDS).join(', ');
    return refuse(id, 'unknown command', `no command ${shown(command)}`, `the commands are ${known}`);
  }
  return readFields(id, command, message);
}

/** The line of a request, with its newline. */
export function writeRequest(id: number, request: Request): string {
  return `${JSON.stringify({ v: PROTOCOL_VERSION, id, ...request })}\n`;
}

/** The object that a line holds; undefined where it holds none. */
export function parseObject(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Text that a terminal and a log can show: without control characters and marks that turn its direction. */
export function isPlainText(value: unknown, charactersMax: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= charactersMax && isPrintable(value);
}

function readFields(id: number, command: CommandName, message: Fields): ReadRequest {
  const { needs, takes } = FIELDS[command];
  const request: Record<string, unknown> = { command };
  for (const [name, field] of Object.entries({ ...needs, ...takes })) {
    const value = Object.hasOwn(message, name) ? message[name] : undefined;
    if (value === undefined && !Object.hasOwn(needs, name)) continue;
    if (!field.fits(value)) {
      const found = value === undefined ? 'it is missing' : `found ${shown(value)}`;
      return refuse(id, 'bad argument', `"${name}" of ${command}: ${found}`, `give ${field.allowed}`);
    }
    request[name] = value;
  }
  const unknown = Object.keys(message).find(
    (name) => !['v', 'id', 'command'].includes(name) && !Object.hasOwn(request, name),
  );
  if (unknown !== undefined) {
    const known = Object.keys({ ...needs, ...takes }).join(', ') || 'none';
    return refuse(id, 'bad argument', `${command} has no ${shown(unknown)}`, `its arguments: ${known}`);
  }
  if (command === 'unban' && 'address' in request === 'all' in request) {
    return refuse(
      id,
      'bad argument',
      'unban takes one of address and all',
      'send "address":"203.0.113.9" or "all":true',
    );
  }
  return { ok: true, id, request: request as unknown as Request };
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(FIELDS, name);
}

function readId({ id: value }: Fields): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function refuse(id: number | null, code: Refusal['code'], message: string, fix: string): ReadRequest {
  return { ok: false, id, error: { code, message, fix } };
}

/** A client's own text given back to it: quoted, escaped, cut. */
function shown(value: unknown): string {
  const text = printableJson(JSON.stringify(value) ?? 'nothing');
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
