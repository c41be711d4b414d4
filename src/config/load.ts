import { readFileSync, statSync } from 'node:fs';
import { CONFIG_BYTES_MAX } from './document.ts';
import { WHOLE_FILE } from './fault.ts';
import { type Parsed, parseConfig } from './parse.ts';

/** Reads and parses a file. That it cannot be read is a fault of the file, like any other. */
export function loadConfig(file: string): Parsed {
  const text = readText(file);
  if (typeof text !== 'string') return text;
  return parseConfig(text, file);
}

/** Why there is no text of a file. `code`: the system's, or null where the file is too large. */
export type Unread = Extract<Parsed, { ok: false }> & { readonly code: string | null };

/** The text of a file, or why there is none, as a fault. The fix depends on how the file was named. */
export function readText(file: string, named: 'option' | 'argument' = 'option'): string | Unread {
  const fault = (problem: string, fix: string, code: string | null = null): Unread => ({
    ok: false,
    code,
    faults: [{ file, line: 1, column: 1, key: WHOLE_FILE, problem, fix }],
  });
  try {
    const { size } = statSync(file);
    // Devices and pipes say 0; what they give is measured after it is read.
    if (size > CONFIG_BYTES_MAX)
      return fault(`the file has ${size} bytes`, `write at most ${CONFIG_BYTES_MAX} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const [problem, fix] = (named === 'argument' ? OF_ARGUMENTS[code] : undefined) ??
      REFUSALS[code] ?? [`the file cannot be read (${code})`, 'name another, or repair it'];
    return fault(problem, fix, code);
  }
}

type Refusals = Readonly<Record<string, readonly [problem: string, fix: string]>>;

const REFUSALS: Refusals = {
  ENOENT: [
    'there is no such file',
    'create it with "nfknock init", or name another with --config FILE; examples/nfknock.yaml is one to begin with',
  ],
  ENOTDIR: [
    'there is no such file',
    'a part of the path is not a directory: name another with --config FILE',
  ],
  EISDIR: ['this is a directory, not a file', 'name the file in it with --config FILE'],
  EACCES: ['this user may not read the file', 'run as root, or let this user read it'],
  ELOOP: ['the symbolic link leads to itself', 'name the file itself'],
};
const OF_ARGUMENTS: Refusals = {
  ENOENT: ['there is no such file', 'name one that is there'],
  ENOTDIR: ['there is no such file', 'a part of the path is not a directory: name another'],
  EISDIR: ['this is a directory, not a file', 'name the file in it'],
};
