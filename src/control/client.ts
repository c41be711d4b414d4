import { connect, type Socket } from 'node:net';
import type { Answers } from './answers.ts';
import { ControlError, SOCKET_PATH_BYTES_MAX } from './error.ts';
import { createLineBuffer } from './lines.ts';
import { type AnswerTo, type CommandName, type Request, writeRequest } from './message.ts';
import { createReplies, RefusedError, type Replies, unexpected, type Watching } from './replies.ts';

/** How long an answer may take, in milliseconds, where the caller says nothing else. */
const ASK_TIMEOUT = 20_000;
/** The longest line that is read: more than the longest that a daemon sends. */
const ANSWER_LINE_BYTES_MAX = 2_097_152;

/** A connection that stays. Requests may overlap; they are answered in their order. */
export interface Connection {
  /** Rejects with RefusedError or ControlError. */
  ask<Asked extends Request>(request: Asked, timeout?: number): Promise<AnswerTo<Asked>>;
  /** From now on events are told as they happen. */
  watch(watching: Watching): Promise<void>;
  /** Resolves when the connection has ended, anyone who ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Asks one thing. Rejects with RefusedError where the daemon refused, with ControlError where there was no answer. */
export async function ask<Asked extends Request>(
  path: string,
  request: Asked,
  timeout: number = ASK_TIMEOUT,
): Promise<AnswerTo<Asked>> {
  const connection = await connectControl(path, timeout);
  try {
    return await connection.ask(request, timeout);
  } finally {
    connection.close();
  }
}

/** Connects to the daemon. Rejects with ControlError. */
export function connectControl(path: string, timeout: number = ASK_TIMEOUT): Promise<Connection> {
  return new Promise((resolve, reject) => {
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX || path === '') {
      const fix = `give \`control\` a path of 1 to ${SOCKET_PATH_BYTES_MAX} bytes`;
      throw new ControlError(['connect', 'bad path'], `"${path}" can't be a socket`, fix);
    }
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(noAnswer(path, timeout)), timeout);
    const refused = (error: Error): void => {
      clearTimeout(timer);
      reject(connectError(path, error));
    };
    socket.once('error', refused);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', refused);
      resolve(connectionOn(socket, path));
    });
  });
}

function connectionOn(socket: Socket, path: string): Connection {
  const replies = createReplies(path);
  const ended = receive(socket, path, replies);
  let lastId = 0;

  function request<Asked extends Request>(
    asked: Asked,
    timeout: number = ASK_TIMEOUT,
  ): Promise<AnswerTo<Asked>> {
    return new Promise<Answers[CommandName]>((resolve, reject) => {
      if (socket.destroyed) return reject(hungUp(path));
      lastId += 1;
      const timer = setTimeout(() => socket.destroy(noAnswer(path, timeout)), timeout);
      replies.expect(lastId, {
        command: asked.command,
        resolve(data) {
          clearTimeout(timer);
          resolve(data);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      });
      socket.write(writeRequest(lastId, asked));
      return undefined;
    }) as Promise<AnswerTo<Asked>>;
  }

  return {
    ask: request,
    async watch(watching) {
      replies.watch(watching);
      await request({ command: 'subscribe' });
    },
    ended,
    close: () => void socket.destroy(),
  };
}

/** Reads until the end, whatever brings it, and tells everyone who still waits by then. */
function receive(socket: Socket, path: string, replies: Replies): Promise<void> {
  const lines = createLineBuffer(ANSWER_LINE_BYTES_MAX);
  let why: Error = hungUp(path);
  socket.on('data', (chunk) => {
    lines.push(chunk);
    for (let line = lines.next(); line !== null && !socket.destroyed; line = lines.next()) {
      const wrong = line === 'too long' ? unexpected(path, 'its answer is too long') : replies.take(line);
      if (wrong !== null) socket.destroy(wrong);
    }
  });
  socket.on('error', (error) => {
    if (error instanceof ControlError || error instanceof RefusedError) why = error;
  });
  return new Promise((resolve) => {
    socket.on('close', () => {
      replies.fail(why);
      resolve();
    });
  });
}

function connectError(path: string, error: Error): Error {
  if (error instanceof ControlError) return error;
  const code = 'code' in error ? String(error.code) : error.message;
  if (code === 'EACCES' || code === 'EPERM') {
    const fix = 'use sudo, or join the group nfknock';
    return new ControlError(['connect', 'not permitted'], `you may not use ${path}`, fix, { cause: error });
  }
  const fix = 'start it with "systemctl start nfknock" or "nfknock run", or name its configuration with -c';
  return new ControlError(['connect', 'no daemon'], `no daemon answers at ${path} (${code})`, fix, {
    cause: error,
  });
}

function hungUp(path: string): ControlError {
  return new ControlError(
    ['ask', 'no daemon'],
    `the daemon at ${path} ended the connection`,
    'see its log, and try again',
  );
}

function noAnswer(path: string, timeout: number): ControlError {
  const message = `the daemon at ${path} did not answer within ${timeout / 1000} s: it is stopped or overloaded`;
  const fix = 'see "systemctl status nfknock" and its log; restart it if it stays so';
  return new ControlError(['ask', 'no daemon'], message, fix);
}
