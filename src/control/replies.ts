import type { Answers, Refusal } from './answers.ts';
import { ControlError } from './error.ts';
import { EXPECTED, REFUSAL } from './expected.ts';
import { type CommandName, PROTOCOL_VERSION, parseObject } from './message.ts';

/** Rows of one answer: more than any daemon holds at once. */
const ANSWER_ROWS_MAX = 4_194_304;

/** The daemon answered, and the answer was no. */
export class RefusedError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(`${refusal.message}; ${refusal.fix}`);
    this.name = 'RefusedError';
    this.refusal = refusal;
  }
}

export interface Watching {
  readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;
  /** So many events were not sent, since we did not read. */
  readonly onLost?: (count: number) => void;
}

/** A request on its way, and who waits for what. */
interface Pending {
  readonly command: CommandName;
  /** Gets what has been held against EXPECTED. */
  resolve(data: Answers[CommandName]): void;
  reject(error: Error): void;
}

/** Brings the daemon's lines to those who wait for them. */
export interface Replies {
  expect(id: number, pending: Pending): void;
  watch(watching: Watching): void;
  /** Takes a line in. Answers with the error that ends the connection; null: it goes on. */
  take(line: string): Error | null;
  /** Everyone who still waits gets this error. */
  fail(error: Error): void;
}

export function createReplies(path: string): Replies {
  const waiting = new Map<number, Pending & { readonly rows: unknown[] }>();
  let watching: Watching | null = null;

  function takeAnswer(id: unknown, message: Readonly<Record<string, unknown>>): Error | null {
    const { ok, data, error, part } = message;
    const asked = typeof id === 'number' ? waiting.get(id) : undefined;
    if (typeof id !== 'number' || asked === undefined)
      return unexpected(path, 'it answers what nobody asked');
    if (Array.isArray(part) && asked.rows.length + part.length <= ANSWER_ROWS_MAX) {
      for (const row of part) asked.rows.push(row);
      return null;
    }
    const whole: unknown = asked.rows.length > 0 && Array.isArray(data) ? asked.rows.concat(data) : data;
    const expected = EXPECTED[asked.command];
    if (ok === false && REFUSAL(error)) asked.reject(new RefusedError(error));
    else if (ok === true && expected(whole)) asked.resolve(whole);
    else return unexpected(path, `its answer to ${asked.command} is not understood`);
    waiting.delete(id);
    return null;
  }

  return {
    expect: (id, pending) => void waiting.set(id, { ...pending, rows: [] }),
    watch(wanted) {
      watching = wanted;
    },
    take(line) {
      const message = parseObject(line) ?? {};
      const { v, id, event, lost, error } = message;
      if (v !== PROTOCOL_VERSION) return unexpected(path, 'it speaks another version');
      if (id === null && REFUSAL(error)) return new RefusedError(error);
      if (watching !== null && typeof event === 'object' && event !== null) watching.onEvent({ ...event });
      else if (watching !== null && typeof lost === 'number') watching.onLost?.(lost);
      else return takeAnswer(id, message);
      return null;
    },
    fail(error) {
      for (const each of waiting.values()) each.reject(error);
      waiting.clear();
    },
  };
}

/** What is said of a listener that does not speak as a daemon of this version would. */
export function unexpected(path: string, what: string): ControlError {
  const message = `what listens at ${path} is no nfknock daemon of this version: ${what}`;
  return new ControlError(['ask', 'protocol'], message, 'restart the daemon after an upgrade');
}
