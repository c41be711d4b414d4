import { closeSync, openSync, rmSync } from 'node:fs';
import { writeAllSync } from '../files/write.ts';
import { EXIT } from './exit.ts';
import { CommandFailure } from './failure.ts';
import { codeOf } from './resolve.ts';

/** Makes a file; one that is there already is left as it is. Throws CommandFailure. */
export function writeNew(path: string, text: string, mode: number): void {
  let file: number;
  try {
    file = openSync(path, 'wx', mode);
  } catch (error) {
    const code = codeOf(error);
    const fix =
      code === 'EEXIST' ? 'it is there already: name another with --out' : 'name another with --out';
    throw new CommandFailure(EXIT.failed, `${path} can't be made (${code}): ${fix}`);
  }
  try {
    writeAllSync(file, Buffer.from(text));
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}
