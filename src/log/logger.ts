import { Writable } from 'node:stream';
import winston from 'winston';
import type { NfknockEvent } from '../engine/event.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { LogSettings } from '../policy/config.ts';
import { CATALOGUE, RANK } from './catalogue.ts';
import { fileWriter } from './file.ts';
import { formatLine, type WallOf } from './line.ts';
import { openSink, type Sink } from './sink.ts';
import { stdoutWriter } from './stdout.ts';

/** The event log. Nothing that happens to the file or the reader of standard output ends the daemon. */
export interface Logger {
  /** Writes the event's line unless its level is under the log's. Never throws, never waits. */
  log(event: NfknockEvent, wallOf: WallOf): void;
  /** Resolves once every line so far is written. */
  flush(): Promise<void>;
  /** Null: the log is written. Otherwise why it is not; lines then go to standard output too. */
  fault(): string | null;
  /** The next line goes to the file that then bears the name: for `logrotate` and the like. */
  reopen(): void;
  /** Writes what waits and ends. Idempotent. */
  close(): Promise<void>;
}

/** Opens the log. A file that can't be opened is complained of on standard error and tried again every second. */
export function openLogger(settings: LogSettings): Logger {
  const { file } = settings;
  if (file === null)
    return loggerOn((recovered) => openSink(stdoutWriter(), { complain, recovered }), settings);
  const writer = fileWriter({ ...settings, path: file, complain });
  // systemd's journal, or the terminal: opened only where it is needed.
  let beside: Sink | undefined;
  const fallback = (line: string): void => {
    beside ??= openSink(stdoutWriter(), { complain, recovered: () => undefined });
    beside.write(line);
  };
  const logger = loggerOn((recovered) => openSink(writer, { complain, recovered, fallback }), settings);
  return {
    ...logger,
    async close() {
      await logger.close();
      await beside?.close();
    },
  };
}

/** A logger that writes to what `open` makes. */
function loggerOn(open: (recovered: (count: number) => void) => Sink, settings: LogSettings): Logger {
  let last: { readonly at: Milliseconds; readonly wallOf: WallOf } | undefined;
  const sink = open(sayLost);
  const lines = winston.createLogger({
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    level: settings.level,
    format: winston.format.printf(({ message }) => String(message)),
    transports: new winston.transports.Stream({ stream: streamTo(sink), eol: '\n' }),
  });
  let closing: Promise<void> | undefined;

  function log(event: NfknockEvent, wallOf: WallOf): void {
    const { level } = CATALOGUE[event.event];
    if (closing !== undefined || RANK[level] < RANK[settings.level]) return;
    last = { at: event.at, wallOf };
    lines.log(level, formatLine(event, wallOf));
  }

  function sayLost(count: number): void {
    if (last !== undefined) log({ event: 'log.suppressed', at: last.at, of_event: '*', count }, last.wallOf);
  }

  async function finish(): Promise<void> {
    // winston has handed everything on once it says that it has finished.
    await new Promise<void>((resolve) => {
      lines.once('finish', resolve);
      lines.end();
    });
    await sink.close();
  }

  return {
    log,
    flush: () => sink.flush(),
    reopen: () => sink.reopen(),
    fault: () => sink.fault(),
    close() {
      closing ??= finish();
      return closing;
    },
  };
}

function streamTo(sink: Sink): Writable {
  return new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      sink.write(text.slice(0, -1));
      done();
    },
  });
}

function complain(sentence: string): void {
  process.stderr.write(`nfknock: ${sentence}\n`);
}
