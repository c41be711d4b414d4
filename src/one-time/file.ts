import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { replaceFileSync } from '../files/write.ts';
import { type PortSpec, parsePort } from '../packet/port.ts';
import { SEQUENCE_STEPS_MAX } from '../policy/limits.ts';

/** The largest one-time file that is read, in bytes: about 50,000 sequences. */
const FILE_BYTES_MAX = 1_048_576;

/** A one-time file as it was read: one sequence a line, `#` in column one marks a used one. */
export interface OneTimeFile {
  /** The first unused sequence; empty: none is left. */
  readonly next: readonly PortSpec[];
  /** Unused sequences, `next` included. */
  readonly left: number;
  /** Lines that are neither blank, used nor a sequence, from 1: they are skipped. */
  readonly faults: readonly number[];
}

/** Reads `80:tcp,443:tcp,53:udp` (knockd's form) or `80/tcp,…`; undefined where the line is no sequence. */
export function parseSequence(line: string): readonly PortSpec[] | undefined {
  const steps = line.split(',').map((step) => parsePort(step.trim().toLowerCase().replace(':', '/')));
  if (steps.length > SEQUENCE_STEPS_MAX || steps.some((step) => step === undefined)) return undefined;
  return steps.filter((step) => step !== undefined);
}

export function parseOneTime(text: string): OneTimeFile {
  const faults: number[] = [];
  let next: readonly PortSpec[] = [];
  let left = 0;
  text.split('\n').forEach((line, index) => {
    if (line.startsWith('#') || line.trim() === '') return;
    const sequence = parseSequence(line);
    if (sequence === undefined) {
      faults.push(index + 1);
    } else {
      if (left === 0) next = sequence;
      left += 1;
    }
  });
  return { next, left, faults };
}

/** Reads the file. Throws what the system says where it can't. */
export function readOneTime(path: string): OneTimeFile {
  if (statSync(path).size > FILE_BYTES_MAX) throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes`);
  return parseOneTime(readFileSync(path, 'utf8'));
}

/**
 * Marks a sequence used, durably: the new text is written beside the file, synced, and takes its place in one
 * step, so that whatever fails, the file is whole and a marked sequence stays marked. It is looked for, for the
 * file may have been edited since it was read; where it stands more than once, each is marked, since it has been
 * on the wire. Answers what is left. Throws what the system says where it can't; then nothing has changed.
 */
export function markUsed(path: string, used: readonly PortSpec[]): OneTimeFile {
  const marked = markAllUsed(path, (line) => isSame(line, used));
  if (marked === undefined) throw new Error('it is not there any more');
  return marked;
}

/** The same of every unused line that is meant; undefined where there is none. */
export function markAllUsed(
  path: string,
  isMeant: (line: readonly PortSpec[]) => boolean,
): OneTimeFile | undefined {
  // Where the name is a link, the file that it leads to is replaced, not the link.
  const file = realpathSync(path);
  // Byte for byte: what is no sequence may be in any encoding, and stays as it is.
  const lines = readFileSync(file, 'latin1').split('\n');
  const meant = lines.map((line) => {
    const sequence = line.startsWith('#') ? undefined : parseSequence(line);
    return sequence !== undefined && isMeant(sequence);
  });
  if (!meant.includes(true)) return undefined;
  const text = lines.map((line, index) => (meant[index] === true ? `#${line}` : line)).join('\n');
  replaceFileSync(file, Buffer.from(text, 'latin1'), statSync(file));
  return parseOneTime(text);
}

/** Each sequence of the file, and whether it is used. Throws what the system says where it can't be read. */
export function* readLines(
  path: string,
): Iterable<{ readonly line: readonly PortSpec[]; readonly isUsed: boolean }> {
  if (statSync(path).size > FILE_BYTES_MAX) throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes`);
  for (const text of readFileSync(path, 'latin1').split('\n')) {
    const isUsed = text.startsWith('#');
    const line = parseSequence(isUsed ? text.slice(1) : text);
    if (line !== undefined) yield { line, isUsed };
  }
}

/** Why no line of the file can be marked used by this process, in words; undefined: it can. */
export function whyUnmarkable(path: string): string | undefined {
  const folder = dirname(realpathSync(path));
  try {
    accessSync(folder, constants.W_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    return `nfknock may not write the folder ${folder} (${code}); move the file to /var/lib/nfknock/, or let nfknock write the folder, and reload`;
  }
}

function isSame(one: readonly PortSpec[] | undefined, other: readonly PortSpec[]): boolean {
  return (
    one?.length === other.length &&
    one.every(({ port, protocol }, at) => port === other[at]?.port && protocol === other[at]?.protocol)
  );
}
