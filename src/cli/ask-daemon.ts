import { readFileSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import type { Answers, RefusalCode } from '../control/answers.ts';
import { ask } from '../control/client.ts';
import { type ControlCode, ControlError } from '../control/error.ts';
import type { AnswerTo, Request } from '../control/message.ts';
import { RefusedError } from '../control/replies.ts';
import { formatAddress, parseAddress, unmapped } from '../packet/address.ts';
import { OFFENDER_BITS, parseCidr } from '../packet/cidr.ts';
import { messageOf } from '../text/error.ts';
import { printable, printableJson } from '../text/plain.ts';
import { CONFIG_FILE, type CommonOptions, EXIT, type ExitCode } from './exit.ts';
import { CommandFailure, failed, usage } from './failure.ts';

/** Where the daemon listens if nothing says otherwise. */
const CONTROL_DEFAULT = '/run/nfknock/control.sock';
/** Milliseconds in which a daemon answers that has something to put back. */
const LOOK_TIMEOUT = 2000;
/** Milliseconds in which it takes its rules out, or puts them in. */
const STAND_DOWN_TIMEOUT = 5000;
/** Names another socket, above what any configuration says. */
const CONTROL_VARIABLE = 'NFKNOCK_CONTROL';

/** What people get to read, given the answer, the width of the terminal and the time. */
export type Words<Data> = (data: Data, view: View) => readonly string[];

export interface View {
  /** Cells; null: no terminal, so lines are as long as they need to be. */
  readonly width: number | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Asking<Data> {
  /** Milliseconds that an answer may take; left out: as long as anything may take. */
  readonly timeout?: number;
  /** The exit code for an answer; left out: done. */
  readonly exit?: (data: Data) => ExitCode;
}

/** Asks the daemon and prints its answer, as JSON where that is wanted. `request` may throw CommandFailure. */
export async function tell<Asked extends Request>(
  options: CommonOptions,
  request: () => Asked,
  words: Words<AnswerTo<Asked>>,
  { timeout, exit }: Asking<AnswerTo<Asked>> = {},
): Promise<ExitCode> {
  try {
    const asked = request();
    const data = await ask(await controlPath(options.config), asked, timeout);
    const view = { width: process.stdout.isTTY ? process.stdout.columns : null, now: systemClock.wall() };
    const text = options.json === true ? json(data) : words(data, view).join('\n');
    process.stdout.write(`${text}\n`);
    return exit?.(data) ?? EXIT.done;
  } catch (error) {
    return fail(error);
  }
}

/** What to say where a daemon runs, which takes rules that were removed for damaged; undefined: none answers. */
export async function putBackBy(config: string): Promise<string | undefined> {
  try {
    const { pid } = await ask(await controlPath(config), { command: 'status' }, LOOK_TIMEOUT);
    return `the daemon (process ${pid}) puts its rules back; stop it ("systemctl stop nfknock"), then remove them again`;
  } catch {
    return undefined;
  }
}

/**
 * Has the daemon look whether root has stood nfknock down, or ended it; it acts on that before it answers. False: none
 * runs, it is stuck, or of an earlier version.
 */
export async function lookAtStandDown(config: string): Promise<boolean> {
  try {
    await ask(await controlPath(config), { command: 'stand_down' }, STAND_DOWN_TIMEOUT);
    return true;
  } catch {
    return false;
  }
}

/** Says on standard error what went wrong and answers with the exit code for it. */
export function fail(error: unknown): ExitCode {
  if (error instanceof RefusedError) {
    for (const fault of error.refusal.faults ?? []) process.stderr.write(`${printable(fault)}\n`);
  }
  if (error instanceof CommandFailure) return failed(error);
  process.stderr.write(`nfknock: ${printable(messageOf(error))}\n`);
  if (error instanceof ControlError) return CONTROL_EXIT[error.code];
  if (error instanceof RefusedError) return REFUSAL_EXIT[error.refusal.code] ?? EXIT.failed;
  return EXIT.failed;
}

const CONTROL_EXIT: Readonly<Record<ControlCode, ExitCode>> = {
  'in use': EXIT.failed,
  'not permitted': EXIT.notPermitted,
  'no daemon': EXIT.noDaemon,
  protocol: EXIT.failed,
  'bad path': EXIT.config,
  failed: EXIT.failed,
};

const REFUSAL_EXIT: Readonly<Partial<Record<RefusalCode, ExitCode>>> = {
  'bad argument': EXIT.usage,
  'unknown door': EXIT.usage,
  config: EXIT.config,
};

/**
 * The daemon's socket: from the environment, else as the configuration file says, even one that is faulty
 * elsewhere, since the daemon still runs with what it read before. Rejects with CommandFailure where a file
 * that was named does not exist.
 */
export async function controlPath(file: string): Promise<string> {
  const named = process.env[CONTROL_VARIABLE];
  if (named !== undefined && named !== '') return named;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    if (file === CONFIG_FILE || code === 'EACCES') return CONTROL_DEFAULT;
    const fix = "name the daemon's configuration with -c";
    throw new CommandFailure(EXIT.config, `${file} can't be read (${code}): ${fix}`);
  }
  // This key alone: anyone who reads all of it refuses what `check` is there to explain.
  const { parseDocument } = await import('yaml');
  const found: unknown = parseDocument(text).get('control');
  return typeof found === 'string' && found !== '' ? found : CONTROL_DEFAULT;
}

/** The address as the daemon takes it. Throws CommandFailure; `network` says what to do instead of naming one. */
export function addressArgument(text: string | undefined, network: string): string {
  const address = text === undefined ? undefined : parseAddress(text);
  // Copied from the log of a service that listens on both families.
  if (address !== undefined) return formatAddress(unmapped(address));
  if (text?.includes('/') === true && parseCidr(text) !== undefined) {
    throw usage(`"${text}" is a network, and this takes one address: ${network}`);
  }
  throw usage(`"${text ?? ''}" is no address: write IPv4 such as 198.51.100.7, or IPv6 such as 2001:db8::7`);
}

/** As bans are counted and listed: an address, or an IPv6 /64, which stands for any of its addresses. */
export function offenderArgument(text: string, network: string): string {
  const given = text.includes('/') ? parseCidr(text) : undefined;
  if (given === undefined || given.bits !== OFFENDER_BITS[given.address.family])
    return addressArgument(text, network);
  return formatAddress(given.address);
}

/** JSON that stays harmless on a terminal: what JSON itself lets stand is escaped too. */
function json(data: Answers[keyof Answers]): string {
  return printableJson(JSON.stringify(data, null, 2));
}
