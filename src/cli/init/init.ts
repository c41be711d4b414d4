import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import { printable } from '../../text/plain.ts';
import { controlPath, fail } from '../ask-daemon.ts';
import type { InitOptions } from '../commands/init.ts';
import { CONFIG_FILE, EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure, failure, usage } from '../failure.ts';
import { writeNew } from '../new-file.ts';
import type { Answers } from './answers.ts';
import { Cancelled } from './cancelled.ts';
import { planned } from './compose.ts';
import { type Given, makeKeys, sequenceProfile } from './credentials.ts';
import { answersBy, checkFlags, settledBy, WITHIN } from './flags.ts';
import { checkWritten, obstacle, putIn, rememberKeys, writeConfiguration } from './install.ts';
import { createJournal, type Journal, writeRemembered } from './journal.ts';
import { type Prepared, prepare } from './prepare.ts';
import { isDrawnByPackage, keepBeside } from './present.ts';
import { foundLines, nextLines } from './said.ts';
import { startAtBoot } from './serve.ts';
import { sheetLines } from './sheet.ts';
import { type Found, survey } from './survey.ts';
import { armInit, checkWayBack, isArmed, keepIt, leftOf, type WayBack, waitForKnock } from './way-back.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Asks a few questions, or takes the answers from flags, and puts a first configuration in force, with a way back. */
export async function init(options: InitOptions): Promise<ExitCode> {
  const journal = createJournal();
  const stopping = new AbortController();
  const stop = (): void => stopping.abort(new Cancelled());
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    return await begin(options, journal, stopping.signal);
  } catch (error) {
    return journal.isKept ? fail(error) : await giveUp(error, journal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

async function giveUp(error: unknown, journal: Journal): Promise<ExitCode> {
  const faults = await journal.undo();
  for (const fault of faults) process.stderr.write(`nfknock: not all was put back: ${printable(fault)}\n`);
  const left = 'what is left is said above; "nfknock stand-down" opens every port';
  const now = faults.length === 0 ? 'the machine is as it was' : left;
  if (error instanceof Cancelled) {
    process.stderr.write(`nfknock: given up: ${now}\n`);
    return EXIT.interrupted;
  }
  const code = fail(error);
  if (code !== EXIT.usage && code !== EXIT.notPermitted)
    process.stderr.write(`nfknock: ${faults.length === 0 ? `nothing was kept: ${now}` : now}\n`);
  return code;
}

async function begin(options: InitOptions, journal: Journal, stop: AbortSignal): Promise<ExitCode> {
  checkFlags(options);
  const yes = options.yes === true;
  if (process.geteuid?.() !== 0)
    throw new CommandFailure(
      EXIT.notPermitted,
      'init changes the firewall and /etc: run it with sudo, or as root',
    );
  if (!yes && !(process.stdin.isTTY && process.stdout.isTTY))
    throw usage(
      'this is no terminal to ask questions on: add --yes, --confirm-by knock|now and flags (--help)',
    );
  const path = resolve(options.config);
  const control = await controlPath(existsSync(path) ? path : CONFIG_FILE);
  const inTheWay = await obstacle(control);
  if (inTheWay !== undefined) throw failure(inTheWay);
  const found = await survey();
  for (const line of foundLines(found)) say(line);
  const replaces = await whatIsThere(path, options);
  if (replaces === 'declined') return declined();
  const fleet = replaces !== null && hasFleet(path) ? 'left' : 'none';
  const answers = yes ? answersBy(options, found) : await asked(options, found);
  if (yes && answers.method !== 'sequence' && options.out === undefined && !process.stdout.isTTY)
    throw usage(
      'the key that is made is secret, and this is no terminal: add --out FILE, which is made with mode 0600',
    );
  const prepared = prepare(answers, found, options);
  const minutes = options.confirmBy === 'now' ? null : (options.within ?? WITHIN);
  say('');
  say('What will be done:');
  const files = { config: path, keys: prepared.keys, replaces, fleet, minutes } as const;
  for (const line of planned(answers, prepared.answer, files)) say(line);
  if (!yes && !(await (await import('./ask.ts')).agreed('Do this now?', true))) return declined();
  return await carryOut({ answers, prepared, replaces, fleet, options, stop }, journal);
}

interface Work {
  readonly answers: Answers;
  readonly prepared: Prepared;
  readonly replaces: string | null;
  readonly fleet: 'left' | 'none';
  readonly options: InitOptions;
  readonly stop: AbortSignal;
}

async function carryOut(work: Work, journal: Journal): Promise<ExitCode> {
  const { answers, prepared, replaces, options, stop } = work;
  const { drawn, config } = prepared;
  begins('keeping what is there for the way back', stop);
  const way = await armInit(prepared, journal);
  const given = await putInPlace(work, way, journal);
  const secrets = process.stdout.isTTY ? 'shown' : 'left out';
  const sheet = await sheetLines(
    {
      answers,
      keys: given,
      sequence: 'sequence' in drawn.knock ? drawn.knock.sequence : null,
      spare: drawn.spare,
      config: config.path,
      out: options.out ?? null,
    },
    secrets,
  );
  process.stdout.write(`${sheet.join('\n')}\n`);
  if (options.confirmBy === 'now') await keepIt(way);
  else await confirmByKnock(work, way);
  journal.keep();
  const boot = await startAtBoot();
  for (const line of nextLines(config.path, replaces, boot ? 'started' : 'by hand', work.fleet)) say(line);
  return EXIT.done;
}

function begins(text: string, stop: AbortSignal): void {
  stop.throwIfAborted();
  say('');
  say(`· ${text}`);
}

/** Files, rules, daemon; each as long as there is a way back from it. Answers with the keys that were made. */
async function putInPlace(work: Work, way: WayBack, journal: Journal): Promise<readonly Given[]> {
  const { prepared, stop } = work;
  const step = async <Result>(
    text: string,
    task: (holds: () => Promise<void>) => Promise<Result>,
  ): Promise<Result> => {
    begins(text, stop);
    const holds = (): Promise<void> => checkWayBack(way, text);
    let result: Result;
    try {
      result = await task(holds);
    } catch (error) {
      // What fails since all was put back meanwhile has no other fault.
      if (!stop.aborted && !isArmed(way)) await holds();
      throw error;
    }
    stop.throwIfAborted();
    await holds();
    return result;
  };
  const given = await step(`writing ${prepared.config.path}`, () => writeFiles(work, journal));
  await step('checking it', () => checkWritten(prepared));
  await step('installing the rules and starting the daemon', (holds) => putIn(way, stop, holds));
  return given;
}

/** The configuration, and what the client needs. */
async function writeFiles(
  { answers, prepared, replaces, options }: Work,
  journal: Journal,
): Promise<readonly Given[]> {
  const { drawn, config, owner } = prepared;
  if (replaces !== null) writeRemembered(journal, replaces, readFileSync(config.path, 'utf8'), owner);
  await writeConfiguration(prepared, journal);
  if (!('spa' in drawn.knock)) {
    writeOut([sequenceProfile(answers, drawn.knock.sequence)], options.out, journal);
    return [];
  }
  rememberKeys(journal, prepared.keys, owner);
  const who = process.env['SUDO_USER'] ?? process.env['USER'] ?? 'owner';
  const given = await makeKeys(answers, { file: prepared.keys, port: drawn.knock.spa, owner: who });
  writeOut(
    given.map(({ handout }) => handout.text),
    options.out,
    journal,
  );
  return given;
}

async function confirmByKnock({ answers, stop }: Work, way: WayBack): Promise<void> {
  const [port = ''] = answers.opens;
  say(
    `Now knock from somewhere else, and connect to ${port}. Keep this session. Unless somebody comes in within ${timeWords(leftOf(way))} all is put back; ^C does so at once.`,
  );
  const waited = await waitForKnock(way, stop, say);
  if (waited === 'late') throw failure('nobody came in through the door in time');
  if (waited === 'confirmed') return;
  if (waited !== 'used') throw failure(`before anybody came in ${waited.gone}`);
  await keepIt(way);
  say('Somebody came in through the door: the change stays.');
}

/** `4 min 57 s`. */
function timeWords(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
}

async function asked(options: InitOptions, found: Found): Promise<Answers> {
  const { ask } = await import('./ask.ts');
  return await ask(found, settledBy(options, found), sshKeyHere());
}

/** The public keys that somebody logs in with here; null: none can knock. */
function sshKeyHere(): string | null {
  const user = process.env['SUDO_USER'] ?? 'root';
  const home = user === 'root' ? '/root' : `/home/${user}`;
  const file = join(home, '.ssh/authorized_keys');
  try {
    return /^ssh-ed25519 /m.test(readFileSync(file, 'utf8')) ? file : null;
  } catch {
    return null;
  }
}

/** Where what is there is kept; null: nothing is, or what the package drew and nobody has used. */
async function whatIsThere(path: string, options: InitOptions): Promise<string | null | 'declined'> {
  if (!existsSync(path) || isDrawnByPackage(readFileSync(path, 'utf8'))) return null;
  const beside = keepBeside(path);
  if (options.replace === true) return beside;
  if (options.yes === true)
    throw new CommandFailure(
      EXIT.failed,
      `${path} is there already, and is not replaced unasked: add --replace, which keeps it as ${beside}`,
    );
  const { agreed } = await import('./ask.ts');
  const message = `${path} is there already. Replace it? (It is kept as ${beside})`;
  return (await agreed(message, false)) ? beside : 'declined';
}

/** A configuration that is wrong has no fleet that anybody is in. */
function hasFleet(path: string): boolean {
  const loaded = loadConfig(path);
  return loaded.ok && loaded.config.fleet !== null;
}

/** What the client needs, and the spare one beside it. */
function writeOut(texts: readonly string[], out: string | undefined, journal: Journal): void {
  if (out === undefined) return;
  for (const [at, text] of texts.entries()) {
    const file = at === 0 ? out : `${out}.spare`;
    writeNew(file, text, 0o600);
    journal.remember(() => rmSync(file, { force: true }));
  }
}

function declined(): ExitCode {
  process.stderr.write('nfknock: nothing was changed\n');
  return EXIT.failed;
}

function say(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}
