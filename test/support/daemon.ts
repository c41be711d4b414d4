import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { atEnd } from './cleanup.ts';
import { startProcess } from './process.ts';
import { ROOT } from './root.ts';

/** Where the build is; another place while it is being built anew. */
const DIST = process.env['NFKNOCK_DIST'] ?? join(ROOT, 'dist');
/** The command line, as built. */
export const NFKNOCK: readonly string[] = [process.execPath, whole(join(DIST, 'bin/nfknock.js'))];

/** The one file of the client, as built. */
export const CLIENT_FILE: string = whole(join(DIST, 'nfknock-client.mjs'));

/** Nobody is to test a program that was made of older parts. */
function whole(program: string): string {
  if (statSync(program).mtimeMs >= statSync(join(DIST, 'cli/main.js')).mtimeMs) return program;
  throw new Error(`${program} is older than what it is made of: npm run build`);
}

/** One event, read back from its JSON line. */
export interface Line {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly source?: string;
  readonly door?: string;
  readonly port?: string;
  readonly ports?: readonly string[];
  readonly reason?: string;
  readonly detail?: string;
  readonly key?: string;
  readonly person?: string;
  readonly count?: number;
  readonly until?: string;
  readonly strikes?: number;
  readonly step?: number;
  readonly of?: number;
  readonly shadow?: boolean;
  readonly origin?: string;
  readonly member?: string;
}

export interface DaemonOptions {
  /** A folder of an earlier daemon, whose configuration and state this one takes over. */
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that becomes the daemon: who it runs as, in which namespaces. */
  readonly before?: readonly string[];
  /** More arguments of `run`. */
  readonly args?: readonly string[];
  /** Milliseconds until `daemon.ready`. */
  readonly timeout?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Daemon {
  readonly pid: number;
  /** Holds the configuration, the state and the control socket. */
  readonly folder: string;
  readonly config: string;
  /** Every event so far, in order. */
  readonly lines: readonly Line[];
  /** Lines of standard output that were no event, and everything on standard error. */
  readonly noise: readonly string[];
  /** The first event, past or to come, that has all these fields; throws with what did happen. */
  waitFor(wanted: Partial<Line>, timeout?: number): Promise<Line>;
  /** The events so far that have all these fields. */
  seen(wanted: Partial<Line>): readonly Line[];
  /** Writes another configuration in the place of the one it runs with. */
  rewrite(config: object): void;
  /** Sends a signal and waits for the end; throws where a line was not as the documented schema says. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
}

/** Every line of every test's daemon is held against what is documented, up to so many of one daemon. */
const CHECKED_MAX = 5_000;
const schema = z.fromJSONSchema(
  JSON.parse(readFileSync(join(ROOT, 'docs/event.schema.json'), 'utf8')) as Parameters<
    typeof z.fromJSONSchema
  >[0],
);
const READY_TIMEOUT_MS = 10_000;
const EVENT_TIMEOUT_MS = 3_000;
const STOP_TIMEOUT_MS = 10_000;

/** Writes the configuration and what every daemon of a test needs of its own into a new folder. */
export function writeConfig(
  config: object,
  given?: string,
): { readonly folder: string; readonly file: string } {
  const folder = given ?? newFolder();
  const file = join(folder, 'nfknock.yaml');
  const own = { state: join(folder, 'state.db'), control: join(folder, 'control.sock') };
  // JSON is YAML too.
  writeFileSync(file, `${JSON.stringify({ ...own, ...config }, undefined, 2)}\n`);
  return { folder, file };
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-test-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts the daemon as people do, and waits until it says that it is ready. */
export async function startDaemon(
  namespace: string,
  config: object,
  options: DaemonOptions = {},
): Promise<Daemon> {
  const { folder, file } = writeConfig(config, options.folder);
  const argv = [...(options.before ?? []), ...NFKNOCK, 'run', '-c', file, ...(options.args ?? [])];
  const child = startProcess(namespace, argv, options.env);
  const lines: Line[] = [];
  const unlike: string[] = [];
  const noise: string[] = [];
  const watchers = new Set<() => void>();
  const wake = (): void => watchers.forEach((watcher) => void watcher());

  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = readLine(text);
    if (line === undefined) noise.push(text);
    else lines.push(line);
    if (line !== undefined && lines.length <= CHECKED_MAX && !schema.safeParse(line).success)
      unlike.push(text);
    wake();
  });
  createInterface({ input: child.stderr }).on('line', (text) => noise.push(text));
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.on('close', (code, signal) => {
      exit = { code, signal };
      resolve(exit);
      wake();
    });
  });

  const seen = (wanted: Partial<Line>): readonly Line[] => lines.filter((line) => matches(line, wanted));
  const waitFor = (wanted: Partial<Line>, timeout = EVENT_TIMEOUT_MS): Promise<Line> =>
    new Promise((resolve, reject) => {
      const story = (): string =>
        [...lines.slice(-20).map((line) => JSON.stringify(line)), ...noise].join('\n');
      const settle = (act: () => void): void => {
        clearTimeout(alarm);
        watchers.delete(look);
        act();
      };
      const look = (): void => {
        const [found] = seen(wanted);
        if (found !== undefined) settle(() => resolve(found));
        else if (exit !== undefined) {
          settle(() =>
            reject(
              new Error(
                `the daemon ended (${JSON.stringify(exit)}) before ${JSON.stringify(wanted)}:\n${story()}`,
              ),
            ),
          );
        }
      };
      const alarm = setTimeout(() => {
        settle(() =>
          reject(new Error(`no ${JSON.stringify(wanted)} within ${timeout} ms, but:\n${story()}`)),
        );
      }, timeout);
      watchers.add(look);
      look();
    });

  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  const stop = async (name: NodeJS.Signals = 'SIGTERM'): Promise<Exit> => {
    signal(name);
    const alarm = setTimeout(() => signal('SIGKILL'), STOP_TIMEOUT_MS);
    const end = await exited.finally(() => clearTimeout(alarm));
    if (unlike.length > 0) throw new Error(`not as docs/event.schema.json says:\n${unlike.join('\n')}`);
    return end;
  };
  try {
    await waitFor({ event: 'daemon.ready' }, options.timeout ?? READY_TIMEOUT_MS);
  } catch (error) {
    // Who could stop it never gets it: left alone it would take time from every test after this one.
    signal('SIGKILL');
    throw error;
  }
  return {
    pid: child.pid ?? 0,
    folder,
    config: file,
    lines,
    noise,
    waitFor,
    seen,
    rewrite: (next) => void writeConfig(next, folder),
    stop,
    signal,
    exited,
  };
}

function matches(line: Line, wanted: Partial<Line>): boolean {
  return Object.entries(wanted).every(([key, value]) => line[key as keyof Line] === value);
}

function readLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'event' in value ? (value as Line) : undefined;
  } catch {
    return undefined;
  }
}
