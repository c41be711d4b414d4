/** What a user can fix in a configuration file: where it stands, what is wrong there, and what to write instead. */
export interface Fault {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units. */
  readonly column: number;
  /** The path of keys, such as `doors.ssh.knock[1]`; `(file)` where the fault is the file itself. */
  readonly key: string;
  /** A clause in plain English, such as `"22x" is not a port from 1 to 65535`. */
  readonly problem: string;
  readonly fix: string;
}

/** The key of a fault that belongs to no key. */
export const WHOLE_FILE = '(file)';

/** Faults shown of one file: a file of another kind altogether would have one for each of its lines. */
export const FAULTS_MAX = 500;

/** No key or choice of ours is as long. */
const WORD_CHARACTERS_MAX = 60;
/** Edits between an unknown word and the one that was probably meant. */
const EDITS_MAX = 2;

/** One line: `file:line:column: key: problem; fix`. */
export function formatFault(fault: Fault): string {
  const { file, line, column, key, problem, fix } = fault;
  return `${file}:${line}:${column}: ${key}: ${problem}; ${fix}`;
}

/** The known word that an unknown one was probably meant to be. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > WORD_CHARACTERS_MAX) return undefined;
  const wanted = word.toLowerCase().replaceAll('-', '_');
  let best: string | undefined;
  let fewest = Math.min(EDITS_MAX, Math.ceil(word.length / 3)) + 1;
  for (const candidate of known) {
    const count = edits(wanted, candidate);
    if (count < fewest) {
      fewest = count;
      best = candidate;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `to` of `from`. */
function edits(from: string, to: string): number {
  let older: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let count = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        count = Math.min(count, (older[j - 2] ?? 0) + 1);
      }
      row.push(count);
    }
    older = previous;
    previous = row;
  }
  return previous[to.length] ?? 0;
}
