import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

export interface Result {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Milliseconds; then it is killed, which shows as `signal`. */
  readonly timeout?: number;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const TIMEOUT_MS = 30_000;

/**
 * Starts a command in a network namespace. `ip netns exec` becomes the command, so the process id is the
 * command's own. It is killed with its namespace.
 */
export function startProcess(
  namespace: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Child {
  const child = spawn('ip', ['netns', 'exec', namespace, ...argv], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  // A child that is gone before it has read its input is no error of ours.
  child.stdin.on('error', () => undefined);
  return child;
}

/** Runs a command in a network namespace to its end; resolves whatever its exit code. */
export function execute(
  namespace: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = startProcess(namespace, argv, options.env);
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    const alarm = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? TIMEOUT_MS);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(alarm);
      resolve({ code, signal, ...output });
    });
    child.stdin.end(options.input ?? '');
  });
}
