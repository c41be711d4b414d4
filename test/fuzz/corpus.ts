import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An input that went where none of those before it went. */
export interface Kept {
  /** The name of its file: the beginning of its SHA-256. */
  readonly file: string;
  readonly bytes: Buffer;
}

const NAME_CHARACTERS = 16;

function folderOf(target: string): string {
  return join(process.cwd(), 'test/fuzz/corpus', target.replaceAll(/\W+/g, '-'));
}

/** What was kept for a target, always in the same order. */
export function readCorpus(target: string): Kept[] {
  const folder = folderOf(target);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).sort();
  return files.map((file) => ({ file, bytes: readFileSync(join(folder, file)) }));
}

export function keptOf(bytes: Buffer): Kept {
  const file = createHash('sha256').update(bytes).digest('hex').slice(0, NAME_CHARACTERS);
  return { file, bytes: Buffer.from(bytes) };
}

/** Takes the place of all that was kept for a target. */
export function writeCorpus(target: string, corpus: readonly Kept[]): void {
  const folder = folderOf(target);
  mkdirSync(folder, { recursive: true });
  const names = new Set(corpus.map(({ file }) => file));
  for (const file of readdirSync(folder)) if (!names.has(file)) rmSync(join(folder, file));
  for (const { file, bytes } of corpus) writeFileSync(join(folder, file), bytes);
}
