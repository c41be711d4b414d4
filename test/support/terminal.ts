import { stripVTControlCharacters } from 'node:util';
import { type Child, startProcess } from './process.ts';

/** A command on a real terminal, which a person types at. */
export interface Terminal {
  /** The process that holds the terminal: util-linux's `script`, whose only child is the command. */
  readonly pid: number;
  /** Everything that it has shown so far, without colours. */
  shown(): string;
  /** Waits until something has been shown since the last call of `type`; throws with what was. */
  until(text: string | RegExp, timeout?: number): Promise<void>;
  type(keys: string): void;
  /** Waits for the end; the exit code is the command's. */
  ended(timeout?: number): Promise<number | null>;
}

const TIMEOUT_MS = 60_000;
const LOOK_EVERY = 20;
/** Wide enough that no line of a question is folded. */
const COLUMNS = 200;

/** Keys as a terminal sends them. */
export const KEY = { enter: '\r', down: '\u001b[B', space: ' ', interrupt: '\u0003' } as const;

/** Starts a command in a network namespace. `command`: for a shell. */
export function startTerminal(namespace: string, before: readonly string[], command: string): Terminal {
  const line = `stty cols ${COLUMNS} rows 60; ${command}`;
  const child: Child = startProcess(namespace, [...before, 'script', '-qefc', line, '/dev/null'], {
    TERM: 'xterm-256color',
    LC_ALL: 'C.UTF-8',
    SHELL: '/bin/sh',
  });
  let all = '';
  let seen = 0;
  let end: { readonly code: number | null } | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    all += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    all += text;
  });
  child.on('close', (code) => {
    end = { code };
  });
  const wait = async (is: () => boolean, what: string, timeout: number): Promise<void> => {
    const deadline = performance.now() + timeout;
    while (!is()) {
      if (performance.now() > deadline || (end !== undefined && !is()))
        throw new Error(`${what} did not come: ${stripVTControlCharacters(all)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  };
  return {
    pid: child.pid ?? 0,
    shown: () => stripVTControlCharacters(all).replaceAll('\r', ''),
    async until(text, timeout = TIMEOUT_MS) {
      const is = (): boolean => {
        const fresh = stripVTControlCharacters(all.slice(seen));
        return typeof text === 'string' ? fresh.includes(text) : text.test(fresh);
      };
      await wait(is, String(text), timeout);
    },
    type(keys) {
      seen = all.length;
      child.stdin.write(keys);
    },
    async ended(timeout = TIMEOUT_MS) {
      await wait(() => end !== undefined, 'the end', timeout);
      return end?.code ?? null;
    },
  };
}
