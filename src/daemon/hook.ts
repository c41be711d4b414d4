import { type ChildProcess, spawn } from 'node:child_process';

/** A command that takes longer is ended. In milliseconds; knockd's `cmd_timeout` is 10 s too. */
export const HOOK_TIMEOUT = 10_000;
/** Output of one command that is kept for the log, in bytes. */
const OUTPUT_BYTES_MAX = 4096;
/** Commands that run at once, and commands that wait: a flood of grants must not become a flood of processes. */
const RUNNING_MAX = 8;
const WAITING_MAX = 1024;

/** What fills the placeholders of an argument vector. None of it can hold a space or a shell's character. */
export interface HookSubject {
  readonly ip: string;
  readonly door: string;
  readonly ports: string;
}

export interface HookResult {
  readonly door: string;
  /** Null: it went well. Otherwise what went wrong. */
  readonly failure: string | null;
  /** What it printed, cut to 4096 bytes. */
  readonly output: string;
}

/** Runs `on_open` and `on_close`: argument vectors, never a shell. */
export interface Hooks {
  run(argv: readonly string[], subject: HookSubject): void;
  /** Ends what runs. */
  close(): void;
}

/** Every occurrence of every placeholder, in every argument. */
export function fillPlaceholders(
  argv: readonly string[],
  { ip, door, ports }: HookSubject,
): readonly string[] {
  return argv.map((each) =>
    each.replaceAll('%IP%', ip).replaceAll('%DOOR%', door).replaceAll('%PORTS%', ports),
  );
}

export function createHooks(done: (result: HookResult) => void, timeout: number = HOOK_TIMEOUT): Hooks {
  const waiting: (() => void)[] = [];
  const running = new Set<ChildProcess>();
  let closed = false;

  function start(argv: readonly string[], subject: HookSubject): void {
    const [file = '', ...args] = fillPlaceholders(argv, subject);
    const chunks: Buffer[] = [];
    let bytes = 0;
    const keep = (chunk: Buffer): void => {
      // Read on past the bound, so that the command never stalls on a full pipe.
      if (bytes < OUTPUT_BYTES_MAX) chunks.push(chunk.subarray(0, OUTPUT_BYTES_MAX - bytes));
      bytes += chunk.length;
    };
    // A group of its own, so that its children end with it.
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, cwd: '/' });
    running.add(child);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child);
    }, timeout);
    const finish = (failure: string | null): void => {
      if (!running.delete(child)) return;
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString('utf8').trim();
      if (!closed) done({ door: subject.door, failure, output });
      waiting.shift()?.();
    };
    child.on('error', (error: NodeJS.ErrnoException) =>
      finish(`${file} can't be run: ${error.code ?? error.message}`),
    );
    // Where no descriptor was left there are no pipes to read.
    if (child.pid === undefined) return;
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('close', (code, signal) => {
      if (late) finish(`${file} took longer than ${timeout / 1000} s and was ended`);
      else if (signal !== null) finish(`${file} was ended by ${signal}`);
      else finish(code === 0 ? null : `${file} ended with code ${code}`);
    });
  }

  return {
    run(argv, subject) {
      if (closed) return;
      if (running.size < RUNNING_MAX) {
        start(argv, subject);
      } else if (waiting.length < WAITING_MAX) {
        waiting.push(() => start(argv, subject));
      } else {
        done({
          door: subject.door,
          failure: `${argv[0]} was not run: ${WAITING_MAX} commands wait already`,
          output: '',
        });
      }
    },
    close() {
      closed = true;
      waiting.length = 0;
      for (const child of running) endGroup(child);
    },
  };
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
