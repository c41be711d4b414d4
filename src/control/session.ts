import type { Socket } from 'node:net';
import { createLineBuffer } from './lines.ts';
import { type ReadRequest, readRequest } from './message.ts';
import { type Answer, createOutput } from './output.ts';
import type { Turns } from './turns.ts';

/** What bounds the control socket. Times are in milliseconds. */
export interface ControlLimits {
  readonly connections: number;
  readonly subscribers: number;
  readonly lineBytes: number;
  /** What a client has not read yet; beyond half of it events are lost, beyond all of it the client is cut off. */
  readonly outputBytes: number;
  /** A client that asks nothing is cut off after so long; subscribers are not. */
  readonly idle: number;
  /** A client that does not read its answer, or whose request is not answered, is cut off after so long. */
  readonly stalled: number;
}

/** One client. It has one request in progress; what it sends meanwhile waits in the kernel. */
export interface Session {
  /** Takes in what came; true where there is a request to be carried out. */
  push(chunk: Uint8Array): boolean;
  /** The client will send nothing more; true where its last words, without a newline, are a request. */
  ended(): boolean;
  /** The next request; null: none. */
  take(): ReadRequest | null;
  /** Sends an answer and resolves once it is out of our hands. */
  answer(id: number | null, answer: Answer): Promise<void>;
  /** Ends a request; true where another is there already. Where not, reading goes on, or the connection ends. */
  rest(): boolean;
  subscribe(id: number): void;
  publish(event: string): void;
  /** Called every so often: cuts off who is silent or stalled. */
  tick(elapsed: number): void;
  /** It has asked something that is not answered yet. */
  readonly busy: boolean;
  readonly subscribed: boolean;
  /** Milliseconds since it last asked or was answered. */
  readonly waited: number;
  close(): void;
}

export function createSession(socket: Socket, limits: ControlLimits, turns: Turns): Session {
  const input = createInput(limits.lineBytes);
  let busy = false;
  let subscription: number | null = null;
  let waited = 0;
  const output = createOutput(socket, limits.outputBytes, () => {
    waited = 0;
    return turns.next();
  });

  function rest(): boolean {
    busy = false;
    if (socket.destroyed) return false;
    if (input.ready()) return true;
    // Also where it subscribed: nothing tells us when a client that has closed its side goes away.
    if (input.over()) socket.destroySoon();
    else socket.resume();
    return false;
  }

  return {
    get busy() {
      return busy || input.ready();
    },
    get subscribed() {
      return subscription !== null;
    },
    get waited() {
      return waited;
    },
    push(chunk) {
      input.push(chunk);
      if (!input.ready()) return false;
      socket.pause();
      return !busy;
    },
    ended() {
      input.end();
      return !busy && rest();
    },
    take() {
      const read = input.take();
      if (read === null) return null;
      busy = true;
      waited = 0;
      return read;
    },
    answer(id, answer) {
      waited = 0;
      return output.answer(id, answer);
    },
    rest,
    subscribe(id) {
      subscription = id;
    },
    publish(event) {
      if (subscription !== null) output.event(subscription, event);
    },
    tick(elapsed) {
      waited += elapsed;
      const limit = busy ? limits.stalled : limits.idle;
      if (waited >= limit && (busy || subscription === null)) socket.destroy();
    },
    close: () => void socket.destroy(),
  };
}

interface Input {
  push(chunk: Uint8Array): void;
  /** Nothing more will come: what stands without a newline is a line. */
  end(): void;
  ready(): boolean;
  /** Nothing is left, and nothing will come that would be looked at. */
  over(): boolean;
  take(): ReadRequest | null;
}

function createInput(lineBytes: number): Input {
  const lines = createLineBuffer(lineBytes);
  let ended = false;
  /** What came last was no line: what follows can't be told apart from it. */
  let cut = false;

  return {
    push(chunk) {
      if (!cut) lines.push(chunk);
    },
    end() {
      if (lines.rest().trim() !== '') lines.push(Buffer.of(10));
      ended = true;
    },
    ready: () => !cut && lines.ready(),
    over: () => cut || (ended && !lines.ready()),
    take() {
      const line = cut ? null : lines.next();
      if (line !== 'too long') return line === null ? null : readRequest(line);
      cut = true;
      const message = `the line is longer than ${lineBytes} bytes`;
      return { ok: false, id: null, error: { code: 'syntax', message, fix: 'send one request a line' } };
    },
  };
}
