import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { guarded } from '../guard/guard.ts';
import { asError } from '../text/error.ts';

export interface ProcessOptions {
  readonly stdin: 'pipe' | 'ignore' | 'inherit';
  /** Standard output and standard error. */
  readonly output: 'pipe' | 'ignore' | 'inherit';
  /** A session and process group of its own: no signal of a terminal reaches it, and its children can be ended with it. */
  readonly group: 'own' | 'ours';
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What a start takes for a moment: three pipes, that by which the kernel's refusal is told, and the child's copies. */
const DESCRIPTORS = 12;

/**
 * Throws where descriptors are short: Node leaves the pipes of a child open that finds too few (EMFILE), so that each
 * try would take some away for good.
 */
function makeRoom(): void {
  const files: number[] = [];
  try {
    while (files.length < DESCRIPTORS) files.push(openSync('/dev/null', 'r'));
  } finally {
    files.forEach(closeSync);
  }
}

/**
 * The one place where a program is started, with no shell. It never throws: Node's `spawn` throws some of what the
 * system refuses (ETXTBSY, ENOTDIR, ELOOP, ENOMEM) and tells the rest later by an event (ENOENT, EACCES, EMFILE). Here
 * both come to `refused`, once, and never before this function has returned. Undefined: no process came to be.
 */
export function startProcess(
  file: string,
  args: readonly string[],
  options: ProcessOptions,
  refused: (error: NodeJS.ErrnoException) => void,
): ChildProcess | undefined {
  const { stdin, output, group, cwd, env } = options;
  let child: ChildProcess;
  try {
    makeRoom();
    child = spawn(file, args, {
      stdio: [stdin, output, output],
      detached: group === 'own',
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    });
  } catch (error) {
    setImmediate(guarded('commands', () => refused(asError(error))));
    return undefined;
  }
  // A process that runs can have an error too (a signal that can't be sent): it is none of the start.
  child.on(
    'error',
    guarded('commands', (error) => {
      if (child.pid === undefined) refused(error);
    }),
  );
  return child.pid === undefined ? undefined : child;
}
