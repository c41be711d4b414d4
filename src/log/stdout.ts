import { fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { writeAll } from '../files/write.ts';
import type { Writer } from './sink.ts';

const STDOUT = 1;
/** Bytes given to one write. */
const WRITE_BYTES_MAX = 64 * 1024;

/**
 * Standard output: a pipe or journald's socket through Node's stream, which writes to them without blocking; a
 * file through its descriptor, since Node's stream for files does not survive a full disk.
 */
export function stdoutWriter(): Writer {
  return isFile() ? descriptorWriter(STDOUT) : streamWriter(process.stdout);
}

/** Any stream of Node's. An error of one write is that write's alone. */
export function streamWriter(stream: Writable): Writer {
  // Without a listener an error event would end the process; the write's callback tells the same.
  const ignore = (): void => undefined;
  stream.on('error', ignore);
  return {
    name: 'standard output',
    put: (lines) =>
      putAll(
        lines,
        (bytes) => new Promise((resolve, reject) => stream.write(bytes, settle(resolve, reject))),
      ),
    reopen: () => undefined,
    async close() {
      // An error that is on its way still finds a listener.
      await new Promise((resolve) => setImmediate(resolve));
      stream.off('error', ignore);
    },
  };
}

function descriptorWriter(descriptor: number): Writer {
  return {
    name: 'standard output',
    put: (lines) => putAll(lines, (bytes) => writeAll(descriptor, bytes)),
    reopen: () => undefined,
    close: () => Promise.resolve(),
  };
}

async function putAll(lines: Buffer[], writeAll: (bytes: Buffer) => Promise<void>): Promise<void> {
  while (lines.length > 0) {
    let bytes = 0;
    const past = lines.findIndex((line) => {
      bytes += line.length;
      return bytes > WRITE_BYTES_MAX;
    });
    const count = past === -1 ? lines.length : Math.max(1, past);
    await writeAll(Buffer.concat(lines.slice(0, count)));
    lines.splice(0, count);
  }
}

function settle(resolve: () => void, reject: (error: Error) => void): (error?: Error | null) => void {
  return (error) => (error === undefined || error === null ? resolve() : reject(error));
}

function isFile(): boolean {
  try {
    return fstatSync(STDOUT).isFile();
  } catch {
    return false;
  }
}
