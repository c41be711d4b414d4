import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readLines } from '../files/lines.ts';

/** Descriptors that are looked at in one turn of the event loop: some 0.3 ms. Our choice. */
const PIECE_DESCRIPTORS = 64;

/** A process, as far as this user may see it. */
export interface Process {
  readonly pid: number;
  readonly name: string;
}

/** A file of /proc or /sys; empty where it is not there or may not be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The rows of a table of /proc, each cut at its spaces. */
export function rowsOf(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([first]) => first !== '');
}

/** Those lines of a file's first `bytesMax` bytes that are wanted, read in pieces: see `readLines`. */
export async function linesOf(
  file: string,
  bytesMax: number,
  isWanted: (line: string) => boolean,
): Promise<string> {
  const wanted: string[] = [];
  await readLines(file, bytesMax, (lines) => void wanted.push(...lines.filter(isWanted)));
  return wanted.join('\n');
}

/**
 * Who holds the sockets of these inodes. Only root sees everybody's: of other users' processes nothing is known.
 * Costs a look at each descriptor of each process, some in each turn of the event loop.
 */
export async function holdersOf(inodes: ReadonlySet<string>): Promise<ReadonlyMap<string, Process>> {
  const holders = new Map<string, Process>();
  if (inodes.size === 0) return holders;
  let looked = 0;
  // Ourselves first: mostly it is we who are looked for.
  for (const pid of [`${process.pid}`, ...processes()]) {
    for (const descriptor of entries(`/proc/${pid}/fd`)) {
      looked += 1;
      if (looked % PIECE_DESCRIPTORS === 0) await nextTurn();
      const inode = socketOf(`/proc/${pid}/fd/${descriptor}`);
      if (inode !== undefined && inodes.has(inode) && !holders.has(inode)) {
        holders.set(inode, { pid: Number(pid), name: nameOf(pid) });
      }
    }
    if (holders.size === inodes.size) break;
  }
  return holders;
}

/** The names of all processes. */
export function runningPrograms(): ReadonlySet<string> {
  return new Set(processes().map(nameOf));
}

function processes(): readonly string[] {
  return entries('/proc').filter((name) => /^\d+$/.test(name));
}

/** A process may call itself what it likes: nothing that a terminal or a log would act on is kept. */
function nameOf(pid: string): string {
  return readText(`/proc/${pid}/comm`)
    .trim()
    .replace(/[^\x21-\x7e]+/g, '?')
    .slice(0, 16);
}

function socketOf(link: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1];
  } catch {
    return undefined;
  }
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
