import { owned } from '../guard/guard.ts';
import { messageOf } from '../text/error.ts';

/** Bytes that wait for a slow reader or a full disk; what comes beyond is counted and lost. Our choice. */
export const WAITING_BYTES_MAX = 4_194_304;
/** How long to wait before writing is tried again, in milliseconds. */
const RETRY_MS = 1000;
/** How long `close` waits for what is still to be written, in milliseconds: a stop takes less than a second. */
const CLOSE_GRACE_MS = 800;

/** Where lines end up: a file, standard output. */
export interface Writer {
  /** What it is, for a complaint: "standard output", "the log file /var/log/…". */
  readonly name: string;
  /**
   * Writes lines, newline included, and takes off the front of the array what it has written. Rejects with
   * what the system said; what is left in the array then is not written.
   */
  put(lines: Buffer[]): Promise<void>;
  /** The next line goes to the file that then bears the name. */
  reopen(): void;
  close(): Promise<void>;
}

/** A queue before a writer: it never blocks, never throws, keeps the order and is bounded. */
export interface Sink {
  /** Takes one line, without its newline. False: the queue is full and the line is lost. */
  write(line: string): boolean;
  /** Resolves once everything taken so far is written. Where writing fails that may be a long time. */
  flush(): Promise<void>;
  reopen(): void;
  /** Null: lines are written. Otherwise why they are not, in the system's words. */
  fault(): string | null;
  /** Writes what waits, for CLOSE_GRACE_MS at most. Idempotent. */
  close(): Promise<void>;
}

export interface SinkOptions {
  /** Told in a sentence that writing fails, once for each time that it begins to. */
  readonly complain: (sentence: string) => void;
  /** Called when writing goes on after `count` lines were lost. */
  readonly recovered: (count: number) => void;
  /**
   * Where lines also go while they can't be written: nothing else would show them. They stay in the queue, so that the
   * log is whole once it can be written again.
   */
  readonly fallback?: (line: string) => void;
  readonly retryMs?: number;
  readonly graceMs?: number;
}

export function openSink(writer: Writer, options: SinkOptions): Sink {
  const { retryMs = RETRY_MS, graceMs = CLOSE_GRACE_MS } = options;
  const queue: Buffer[] = [];
  const flushed: (() => void)[] = [];
  let waiting = 0;
  let lost = 0;
  /** Why writing fails; null: it does not. */
  let fault: string | null = null;
  let closing: Promise<void> | undefined;
  let working: Promise<void> | undefined;
  let hurry: (() => void) | undefined;

  function write(line: string): boolean {
    if (fault !== null) options.fallback?.(line);
    if (closing !== undefined || waiting >= WAITING_BYTES_MAX) {
      lost++;
      return false;
    }
    const bytes = Buffer.from(`${line}\n`);
    queue.push(bytes);
    waiting += bytes.length;
    if (working === undefined) {
      working = work();
      owned('log', working);
    }
    return true;
  }

  async function work(): Promise<void> {
    // Lines of one turn of the event loop go out together.
    await undefined;
    while (queue.length > 0) {
      const error = await attempt();
      if (error === undefined) succeeded();
      else if (!(await failed(error))) break;
    }
    working = undefined;
    for (const resolve of flushed.splice(0)) resolve();
  }

  async function attempt(): Promise<unknown> {
    try {
      await writer.put(queue);
      return undefined;
    } catch (error) {
      return error ?? new Error('unknown');
    } finally {
      waiting = queue.reduce((sum, bytes) => sum + bytes.length, 0);
    }
  }

  function succeeded(): void {
    fault = null;
    if (lost === 0) return;
    const count = lost;
    lost = 0;
    options.recovered(count);
  }

  /** False: give up, since there is no more time. */
  async function failed(error: unknown): Promise<boolean> {
    if (fault === null) {
      fault = messageOf(error);
      const meanwhile = options.fallback === undefined ? '' : ' and go to standard output meanwhile';
      options.complain(
        `${writer.name} can not be written (${fault}): lines are kept${meanwhile}, and writing is tried again every second`,
      );
      for (const bytes of queue) options.fallback?.(bytes.toString().slice(0, -1));
    }
    if (closing !== undefined) return false;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, retryMs);
      hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    hurry = undefined;
    return true;
  }

  async function finish(): Promise<void> {
    hurry?.();
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([working, grace]);
    clearTimeout(timer);
    if (queue.length + lost > 0)
      options.complain(`${queue.length + lost} lines of the log could not be written to ${writer.name}`);
    await Promise.race([writer.close(), Promise.resolve()]);
  }

  return {
    write,
    flush: () =>
      working === undefined ? Promise.resolve() : new Promise((resolve) => flushed.push(resolve)),
    reopen: () => writer.reopen(),
    fault: () => fault,
    close() {
      closing ??= finish();
      return closing;
    },
  };
}
