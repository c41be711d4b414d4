import type { ReadStream, WriteStream } from 'node:tty';

const ENTER = '\u001b[?1049h\u001b[?25l';
const HOME = '\u001b[H';
/** Before a line, not after it: behind a line that fills the row it would erase the last cell. */
const CLEAR_LINE = '\u001b[2K';
const CLEAR_BELOW = '\u001b[J';
/** Empty first: tmux, where it was made taller meanwhile, keeps the top lines of what it leaves. */
const LEAVE = `${HOME}${CLEAR_BELOW}\u001b[?25h\u001b[?1049l`;
const CTRL_C = '\u0003';
const CTRL_Z = '\u001a';

/** The whole screen of a terminal, lent: whatever ends the program, the terminal is as it was before. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Draws these lines from the top. A frame is left out where the terminal has not taken the last one yet. */
  draw(lines: readonly string[]): void;
  /** Resolves when the user quits (q, Ctrl-C) or a signal asks for the end. */
  readonly quit: Promise<void>;
  /** Gives the terminal back. Idempotent. */
  close(): void;
}

/** Takes the terminal over. `redraw` is called when its size has changed or it comes back from the background. */
export function openTerminal(input: ReadStream, output: WriteStream, redraw: () => void): Terminal {
  let held = false;
  let resolveQuit: () => void = () => {};
  const quit = new Promise<void>((resolve) => {
    resolveQuit = resolve;
  });

  function take(): void {
    if (held) return;
    held = true;
    input.setRawMode(true);
    output.write(ENTER);
  }

  function give(): void {
    if (!held) return;
    held = false;
    output.write(LEAVE);
    input.setRawMode(false);
  }

  function onKeys(keys: string): void {
    if (keys.includes('q') || keys.includes('Q') || keys.includes(CTRL_C)) resolveQuit();
    else if (keys.includes(CTRL_Z)) {
      give();
      process.kill(process.pid, 'SIGTSTP');
    }
  }

  function onContinue(): void {
    take();
    redraw();
  }

  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  input.setEncoding('utf8').on('data', onKeys).on('end', resolveQuit).on('error', resolveQuit);
  output.on('resize', redraw).on('error', resolveQuit);
  for (const signal of signals) process.on(signal, resolveQuit);
  process.on('SIGCONT', onContinue);
  // An exception that nobody caught ends the process by this way too.
  process.on('exit', give);
  take();

  return {
    get columns() {
      return output.columns;
    },
    get rows() {
      return output.rows;
    },
    draw(lines) {
      if (!held || output.writableNeedDrain) return;
      const shown = lines.slice(0, output.rows).map((line) => CLEAR_LINE + line);
      output.write(HOME + shown.join('\r\n') + (shown.length < output.rows ? `\r\n${CLEAR_BELOW}` : ''));
    },
    quit,
    close() {
      give();
      input.off('data', onKeys).pause().unref();
      output.off('resize', redraw);
      for (const signal of signals) process.off(signal, resolveQuit);
      process.off('SIGCONT', onContinue).off('exit', give);
    },
  };
}
