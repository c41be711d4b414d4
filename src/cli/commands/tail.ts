import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { EVENT_NAMES } from '../../log/catalogue.ts';
import { globMatches, type Wanted } from '../../log/filter.ts';
import { followFile, followStream, type Read } from '../../log/follow.ts';
import { createTail, type Tail } from '../../log/tail.ts';
import { parseCidr, unmappedCidr } from '../../packet/cidr.ts';
import { isDoorName } from '../../policy/door-name.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';

export interface TailCommandOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly lines?: string;
  readonly event?: string;
  readonly source?: string;
  readonly door?: string;
  readonly local?: boolean;
}

/** Lines to begin with where `-n` does not say, and the most that it may say: they are held in memory. */
const LINES_DEFAULT = 10;
const LINES_MAX = 1_000_000;
const STANDARD_INPUT = '-';

class Refusal extends Error {
  readonly code: ExitCode;
  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Reads the event log as text for people, or passes its lines on as JSON. */
export async function command(args: readonly string[], options: TailCommandOptions): Promise<ExitCode> {
  const ended = new AbortController();
  // A reader that goes away (`nfknock tail -f | head`) ends it.
  const gone = (): void => ended.abort();
  process.stdout.on('error', gone);
  try {
    const wanted = wantedOf(options);
    const count = countOf(options.lines);
    const file = args[0] ?? fileOf(options.config);
    const isStream = file === STANDARD_INPUT || (await isNoFile(file));
    const last =
      isStream && (count === undefined || options.follow === true) ? undefined : (count ?? LINES_DEFAULT);
    const tail = createTail({
      wanted,
      output: options.json === true ? 'json' : 'text',
      colour: colourOf(),
      clock: options.local === true ? 'local' : 'utc',
      last,
    });
    const reads = isStream ? streamOf(file, ended.signal) : fileReads(file, options, ended.signal);
    await print(reads, tail, ended.signal);
    return EXIT.done;
  } catch (error) {
    if (ended.signal.aborted) return EXIT.done;
    const refusal = error instanceof Refusal ? error : systemRefusal(error);
    process.stderr.write(`nfknock: ${refusal.message}\n`);
    return refusal.code;
  } finally {
    process.stdout.off('error', gone);
  }
}

async function print(reads: AsyncIterable<Read>, tail: Tail, signal: AbortSignal): Promise<void> {
  for await (const { lines, end } of reads) {
    const worded = tail.take(lines);
    if (end) worded.push(...tail.caughtUp());
    if (worded.length > 0) await write(`${worded.join('\n')}\n`);
    if (signal.aborted) return;
  }
}

/** Resolves when it is on its way: a slow reader slows the reading, so that nothing piles up. */
function write(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
}

function fileReads(path: string, options: TailCommandOptions, signal: AbortSignal): AsyncIterable<Read> {
  const waiting = (): void => {
    process.stderr.write(`nfknock: ${path} is not there yet; waiting for it\n`);
  };
  return followFile(path, { mode: options.follow === true ? 'follow' : 'once', signal, waiting });
}

function streamOf(file: string, signal: AbortSignal): AsyncIterable<Read> {
  const stream = file === STANDARD_INPUT ? process.stdin : createReadStream(file);
  signal.addEventListener('abort', () => stream.destroy());
  return followStream(stream);
}

/** A pipe, as in `nfknock tail <(journalctl …)`, has no end to begin from. */
async function isNoFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) {
    throw new Refusal(EXIT.failed, `${path} is a directory: name the log file in it`);
  }
  return found !== undefined && !found.isFile();
}

function wantedOf({ event, source, door }: TailCommandOptions): Wanted {
  if (door !== undefined && !isDoorName(door)) {
    throw new Refusal(
      EXIT.usage,
      `--door ${JSON.stringify(door)} can't be the name of a door: nfknock status lists them`,
    );
  }
  const given = source === undefined ? undefined : parseCidr(source);
  const cidr = given === undefined ? undefined : unmappedCidr(given);
  if (source !== undefined && cidr === undefined) {
    throw new Refusal(
      EXIT.usage,
      `--source ${JSON.stringify(source)} is no address or network: write 203.0.113.9, 203.0.113.0/24 or 2001:db8::/64, with no bit set beyond the prefix`,
    );
  }
  const globs = event?.split(',') ?? [];
  const unknown = globs.find((glob) => !EVENT_NAMES.some((name) => globMatches(glob.trim(), name)));
  if (unknown !== undefined) {
    // Not refused: the log may be of a later version.
    process.stderr.write(
      `nfknock: no event is called ${JSON.stringify(unknown)}; docs/events.md lists them\n`,
    );
  }
  return { event, source: cidr, door };
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,7}$/.test(text) || Number(text) > LINES_MAX) {
    throw new Refusal(
      EXIT.usage,
      `--lines ${JSON.stringify(text)} is no count: write a number from 0 to ${LINES_MAX}`,
    );
  }
  return Number(text);
}

function fileOf(config: string): string {
  const parsed = loadConfig(config);
  if (!parsed.ok) throw new Refusal(EXIT.config, parsed.faults.map(formatFault).join('\nnfknock: '));
  if (parsed.config.log.file !== null) return parsed.config.log.file;
  throw new Refusal(
    EXIT.failed,
    `${config} has no log.file, so the log is on the daemon's standard output: try journalctl -u nfknock -o cat | nfknock tail -`,
  );
}

function systemRefusal(error: unknown): Refusal {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  if (code === 'ENOENT') {
    return new Refusal(
      EXIT.failed,
      `${path ?? 'the log file'} is not there: is the daemon running? With -f it is waited for`,
    );
  }
  if (code === 'EACCES') {
    return new Refusal(
      EXIT.notPermitted,
      `${path ?? 'the log file'} may not be read: run as root, or join the log's group`,
    );
  }
  return new Refusal(EXIT.failed, `${path ?? 'the log'} cannot be read (${code})`);
}

/** https://no-color.org */
function colourOf(): 'coloured' | 'plain' {
  const refused = process.env['NO_COLOR'];
  return process.stdout.isTTY === true && (refused === undefined || refused === '') ? 'coloured' : 'plain';
}
