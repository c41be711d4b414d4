import type { Socket } from 'node:net';
import type { Answers, Refusal } from './answers.ts';
import { type CommandName, PROTOCOL_VERSION } from './message.ts';

/** What a list is cut into on the wire, in bytes: one part is made and sent in one turn of the event loop. */
const PART_BYTES = 65_536;
/** Rows made in one turn, however short: one takes up to 20 µs. */
const PART_ROWS = 128;

type Row = Answers['grants' | 'bans' | 'sources'][number];
/** What a request is answered with. A list may be any iterable: it is walked as fast as the client reads. */
export type Answer =
  | { readonly ok: true; readonly data: Answers[CommandName] | Iterable<Row>; readonly limit?: number }
  | { readonly ok: false; readonly error: Refusal };

/** What goes to one client. It never holds more than `bytesMax` that the client has not read. */
export interface Output {
  /** Sends an answer and resolves once it is out of our hands, or the client is gone. */
  answer(id: number | null, answer: Answer): Promise<void>;
  /** Sends an event (JSON text), or counts it as lost where the client does not read. */
  event(id: number, event: string): void;
}

/** `turn` resolves when the next part of a list may be made: the client has read the one before. */
export function createOutput(socket: Socket, bytesMax: number, turn: () => Promise<void>): Output {
  let lost = 0;

  function send(text: string): void {
    if (socket.destroyed) return;
    // Nobody waits for a client that does not read: it is cut off.
    if (socket.writableLength + text.length > bytesMax) socket.destroy();
    else socket.write(text);
  }

  async function sendRows(id: number | null, rows: Iterable<unknown>, limit: number): Promise<void> {
    let left = limit;
    let part: string[] = [];
    let size = 0;
    for (const row of rows) {
      if (left <= 0) break;
      left -= 1;
      const text = JSON.stringify(row);
      part.push(text);
      size += text.length + 1;
      if (size < PART_BYTES && part.length < PART_ROWS) continue;
      send(`${head(id)},"part":[${part.join(',')}]}\n`);
      part = [];
      size = 0;
      await drained(socket);
      await turn();
      if (socket.destroyed) return;
    }
    send(`${head(id)},"ok":true,"data":[${part.join(',')}]}\n`);
  }

  return {
    async answer(id, answer) {
      if (answer.ok && isRows(answer.data))
        await sendRows(id, answer.data, answer.limit ?? Number.POSITIVE_INFINITY);
      else send(`${head(id)},${tailOf(answer, bytesMax)}\n`);
      await drained(socket);
    },
    event(id, event) {
      if (socket.destroyed) return;
      if (socket.writableLength + event.length > bytesMax / 2) {
        lost += 1;
        return;
      }
      if (lost > 0) socket.write(`${head(id)},"lost":${lost}}\n`);
      lost = 0;
      socket.write(`${head(id)},"event":${event}}\n`);
    },
  };
}

function tailOf(answer: Answer, bytesMax: number): string {
  const text = answer.ok
    ? `"ok":true,"data":${JSON.stringify(answer.data)}}`
    : `"ok":false,"error":${JSON.stringify(answer.error)}}`;
  if (text.length < bytesMax / 2) return text;
  const error: Refusal = { code: 'failed', message: 'the answer is too long', fix: 'ask for less' };
  return `"ok":false,"error":${JSON.stringify(error)}}`;
}

function drained(socket: Socket): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

function head(id: number | null): string {
  return `{"v":${PROTOCOL_VERSION},"id":${id}`;
}

function isRows(data: object): data is Iterable<unknown> {
  return Symbol.iterator in data;
}
