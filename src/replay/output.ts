import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Lines on their way out; they gather while a chunk of input is judged. Writing waits for a reader that is slow, and stops for one that went away. */
export interface Output {
  line(text: string): void;
  /** Whether there are lines that `drained` will write. */
  waiting(): boolean;
  /** To be awaited between chunks of input, so that what is not yet read does not gather without bound. */
  drained(): Promise<void>;
  /** Whether the reader went away (`nfknock replay … | head`). */
  gone(): boolean;
}

export function createOutput(stream: Writable): Output {
  let gathered = '';
  let gone = stream.destroyed;
  let full = false;
  const leave = (): void => {
    gone = true;
  };
  stream.on('error', leave);
  stream.on('close', leave);

  const write = (): void => {
    if (!gone && gathered !== '') full = !stream.write(gathered);
    gathered = '';
  };
  return {
    line(text) {
      gathered += `${text}\n`;
    },
    waiting: () => gathered !== '',
    async drained() {
      write();
      if (!full || gone) return;
      const ended = new AbortController();
      const options = { signal: ended.signal };
      const nothing = (): void => undefined;
      await Promise.race([once(stream, 'drain', options), once(stream, 'close', options)]).catch(nothing);
      ended.abort();
      full = false;
    },
    gone: () => gone,
  };
}

/** A bar on a terminal that moves as a file is read; elsewhere nothing. */
export interface Progress {
  at(position: number, packets: number): void;
  clear(): void;
}

const BAR_CELLS = 30;

export function createProgress(
  terminal: Writable & { readonly isTTY?: boolean },
  size: number | undefined,
): Progress {
  let shown = '';
  const show = (text: string): void => {
    if (terminal.isTTY !== true || text === shown) return;
    shown = text;
    terminal.write(text === '' ? '\r\u001b[K' : `\r${text}\u001b[K`);
  };
  return {
    at(position, packets) {
      if (size === undefined || size === 0) {
        show(`${(position / 1e6).toFixed(0)} MB, ${packets} packets`);
        return;
      }
      const part = Math.min(position / size, 1);
      const cells = Math.floor(part * BAR_CELLS);
      show(`[${'#'.repeat(cells)}${'.'.repeat(BAR_CELLS - cells)}] ${Math.floor(part * 100)} %`);
    },
    clear: () => show(''),
  };
}
