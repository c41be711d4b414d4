import { guarded } from '../guard/guard.ts';
/** Work for clients, done one piece in a turn of the event loop: packets come in between. */
export interface Turns {
  /** Runs it when its turn has come. It must not throw. */
  add(piece: () => void): void;
  /** Resolves when the caller's turn has come. */
  next(): Promise<void>;
}

/** Pieces that are done and still held. */
const DONE_MAX = 1024;

export function createTurns(): Turns {
  let waiting: (() => void)[] = [];
  let at = 0;
  let running = false;

  function run(): void {
    const piece = waiting[at];
    at += 1;
    if (piece === undefined) {
      waiting = [];
      at = 0;
      running = false;
      return;
    }
    if (at >= DONE_MAX) {
      waiting = waiting.slice(at);
      at = 0;
    }
    try {
      piece();
    } finally {
      // Whatever one piece came to, the others have their turn.
      setImmediate(guarded('control', run));
    }
  }

  function add(piece: () => void): void {
    waiting.push(piece);
    if (running) return;
    running = true;
    setImmediate(guarded('control', run));
  }

  return { add, next: () => new Promise((resolve) => add(resolve)) };
}
