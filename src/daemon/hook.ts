import type { ChildProcess } from 'node:child_process';
import { guarded } from '../guard/guard.ts';
import { startProcess } from '../process/start.ts';

/** A command that takes longer is ended. In milliseconds; knockd's `cmd_timeout` is 10 s too. */
export const HOOK_TIMEOUT = 10_000;
/** Output of one command that is kept for the log, in bytes. */
const OUTPUT_BYTES_MAX = 4096;
/** Commands that run at once, and commands that wait: a flood of grants must not become a flood of processes. */
const RUNNING_MAX = 8;
const WAITING_MAX = 1024;
/** How long the output of a command that has ended is waited for, in milliseconds: it is in the pipe already. */
const OUTPUT_GRACE = 200;
/**
 * Pipes that something which a command left behind holds open. They are read on, so that it never fails at writing
 * (`(sleep 3600; echo closing; iptables -D …) &`); beyond this many the oldest is closed. Our choice.
 */
const LEFT_OPEN_MAX = 64;

/** What fills the placeholders of an argument vector. None of it comes from a packet. */
export interface HookSubject {
  readonly ip: string;
  readonly door: string;
  readonly ports: string;
  /** By whose key, as the key file names them. */
  readonly key?: string;
  readonly person?: string;
  /** In a fleet: the member where the door was opened. */
  readonly member?: string;
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
  { ip, door, ports, key = '', person = '', member = '' }: HookSubject,
): readonly string[] {
  return argv.map((each) =>
    each
      .replaceAll('%IP%', ip)
      .replaceAll('%DOOR%', door)
      .replaceAll('%PORTS%', ports)
      .replaceAll('%KEY%', key)
      .replaceAll('%MEMBER%', member)
      // Not as a pattern of replaceAll: a person may be named anything.
      .replaceAll('%PERSON%', () => person),
  );
}

export function createHooks(done: (result: HookResult) => void, timeout: number = HOOK_TIMEOUT): Hooks {
  const waiting: (() => void)[] = [];
  /** Those whose process has not ended: only their process groups are sure to be theirs. */
  const running = new Set<ChildProcess>();
  /** Commands that have a slot, also those that could not be started and are about to say so. */
  let busy = 0;
  const leftOpen: Pipe[] = [];
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
    let finished = false;
    const finish = (failure: string | null): void => {
      if (finished) return;
      finished = true;
      busy -= 1;
      const output = Buffer.concat(chunks).toString('utf8').trim();
      if (!closed) done({ door: subject.door, failure, output });
      waiting.shift()?.();
    };
    busy += 1;
    const child = startProcess(
      file,
      args,
      // A group of its own, so that its children end with it.
      { stdin: 'ignore', output: 'pipe', group: 'own', cwd: '/' },
      (error) => finish(`${file} can't be run: ${refusalInWords(error)}`),
    );
    if (child === undefined) return;
    running.add(child);
    let late = false;
    const timer = setTimeout(
      guarded('commands', () => {
        late = true;
        endGroup(child);
      }),
      timeout,
    );
    child.stdout?.on('data', guarded('commands', keep));
    child.stderr?.on('data', guarded('commands', keep));
    child.on(
      'exit',
      guarded('commands', (code, signal) => {
        clearTimeout(timer);
        // From here on the number of its group may be another's.
        running.delete(child);
        const failure = failureOf(file, code, signal);
        const end = (): void =>
          finish(late ? `${file} took longer than ${timeout / 1000} s and was ended` : failure);
        const grace = setTimeout(
          guarded('commands', () => {
            end();
            leaveOpen(child);
          }),
          OUTPUT_GRACE,
        );
        child.on(
          'close',
          guarded('commands', () => {
            clearTimeout(grace);
            end();
          }),
        );
      }),
    );
  }

  /** What a command left in the background has the pipes; it takes no slot, and nobody waits for it. */
  function leaveOpen({ stdout, stderr }: ChildProcess): void {
    for (const pipe of [stdout, stderr] as (Pipe | null)[]) {
      if (pipe === null || pipe.destroyed) continue;
      if (closed) {
        pipe.destroy();
        continue;
      }
      pipe.unref?.();
      leftOpen.push(pipe);
      pipe.once(
        'close',
        guarded('commands', () => {
          const at = leftOpen.indexOf(pipe);
          if (at !== -1) leftOpen.splice(at, 1);
        }),
      );
    }
    while (leftOpen.length > LEFT_OPEN_MAX) leftOpen.shift()?.destroy();
  }

  return {
    run(argv, subject) {
      if (closed) return;
      if (busy < RUNNING_MAX) {
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
      for (const pipe of leftOpen.splice(0)) pipe.destroy();
      // Once everyone whose end has been seen was taken out: a group whose first process is gone may be another's.
      setImmediate(
        guarded('commands', () => {
          for (const child of running) {
            endGroup(child);
            child.stdout?.destroy();
            child.stderr?.destroy();
          }
        }),
      );
    },
  };
}

/** A pipe of a child is a socket: it can be read without keeping the process from its end. */
type Pipe = NonNullable<ChildProcess['stdout']> & { unref?: () => void };

/** What the owner can do about the commonest refusals. */
const REFUSALS: Readonly<Record<string, string>> = {
  ENOENT: 'it, or the interpreter in its first line, is not there',
  EACCES: "nfknock's user may not run it; give it chmod 755",
  ENOEXEC: 'it is neither a program nor a script with #! in its first line',
  ENOTDIR: 'a part of its path is no directory',
  ELOOP: 'its path goes round in symbolic links',
  ETXTBSY: 'it was being written; replace it by renaming a new file to its name',
  ENOMEM: 'no memory is left',
  EMFILE: 'no file descriptor is left',
  ENFILE: 'no file descriptor is left on this machine',
  EAGAIN: 'no process may be made; see TasksMax of the unit',
};

function refusalInWords(error: NodeJS.ErrnoException): string {
  const code = error.code ?? error.message;
  const hint = REFUSALS[code];
  return hint === undefined ? code : `${code} (${hint})`;
}

function failureOf(file: string, code: number | null, signal: NodeJS.Signals | null): string | null {
  if (signal !== null) return `${file} was ended by ${signal}`;
  return code === 0 ? null : `${file} ended with code ${code}`;
}

/** Only of a child whose end has not been seen: as long as it is not reaped the number is its own. */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
