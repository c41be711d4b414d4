import { readFileSync, statSync } from 'node:fs';
import { CONFIG_BYTES_MAX } from './document.ts';
import { WHOLE_FILE } from './fault.ts';
import { type Parsed, parseConfig } from './parse.ts';

/** Reads and parses a file. That it cannot be read is a fault of the file, like any other. */
export function loadConfig(file: string): Parsed {
  const text = readText(file);
  return typeof text === 'string' ? parseConfig(text, file) : text;
}

/** The text of a file, or why there is none, as a fault. How to mend that hangs on how the file was named. */
export function readText(
  file: string,
  named: 'option' | 'argument' = 'option',
): string | Extract<Parsed, { ok: false }> {
  const fault = (found: string, allowed: string, mend: string | null): Extract<Parsed, { ok: false }> => ({
    ok: false,
    faults: [{ file, line: 1, column: 1, key: WHOLE_FILE, found, allowed, mend }],
  });
  try {
    const { size } = statSync(file);
    // Devices and pipes say 0; what they give is measured after it is read.
    if (size > CONFIG_BYTES_MAX) return fault(`${size} bytes`, `at most ${CONFIG_BYTES_MAX} bytes`, null);
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const [found, mend] = (named === 'argument' ? OF_ARGUMENTS[code] : undefined) ??
      REFUSALS[code] ?? [`that it cannot be read (${code})`, null];
    return fault(found, 'a file that can be read', mend);
  }
}

type Refusals = Readonly<Record<string, readonly [found: string, mend: string]>>;

const REFUSALS: Refusals = {
  ENOENT: [
    'no such file',
    'make it, or name another with --config FILE; examples/nfknock.yaml is one to begin with',
  ],
  ENOTDIR: ['no such file', 'a part of the path is no directory: name another with --config FILE'],
  EISDIR: ['a directory', 'name the file in it with --config FILE'],
  EACCES: ['that it may not be read', 'run as root, or give this user the right to read it'],
  ELOOP: ['a symbolic link that leads to itself', 'name the file itself'],
};
const OF_ARGUMENTS: Refusals = {
  ENOENT: ['no such file', 'name one that is there'],
  ENOTDIR: ['no such file', 'a part of the path is no directory: name another'],
  EISDIR: ['a directory', 'name the file in it'],
};
