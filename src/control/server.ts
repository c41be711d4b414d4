import { createServer, type Socket } from 'node:net';
import { guarded, owned } from '../guard/guard.ts';
import { sentenceOf } from '../text/error.ts';
import type { Refusal } from './answers.ts';
import type { Request } from './message.ts';
import type { Answer } from './output.ts';
import { type ControlLimits, createSession, type Session } from './session.ts';
import { admit, CONTROL_GROUP, clearPath, listen } from './socket.ts';
import { createTurns, type Turns } from './turns.ts';

const CONTROL_LIMITS: ControlLimits = {
  connections: 32,
  subscribers: 8,
  lineBytes: 65_536,
  outputBytes: 1_048_576,
  idle: 30_000,
  stalled: 15_000,
};

/** How often silent and stalled clients are looked for, in milliseconds; less where a limit is shorter. */
const TICK_MAX = 1000;

export interface ControlOptions {
  readonly path: string;
  /** Whose members may use the socket; default `nfknock`. */
  readonly group?: string;
  /** Carries a request out. `subscribe` never comes here. What it throws is answered as `failed`. */
  readonly handle: (request: Request) => Answer | Promise<Answer>;
  /** Told of what `handle` threw. */
  readonly onError?: (error: unknown) => void;
  readonly limits?: Partial<ControlLimits>;
}

export interface ControlServer {
  /** What an owner should know: who can't use the socket, and why. */
  readonly notice: string | null;
  /** Sends an event line (an object as the log has it) to everyone who watches. Never waits. */
  publish(event: object): void;
  /** Subscribers now. */
  subscribers(): number;
  /** Connections now. */
  connections(): number;
  /** Cuts everyone off and takes the socket away. Idempotent. */
  close(): Promise<void>;
}

/** Listens for commands. Rejects with ControlError where another daemon does, or where the path can't be used. */
export async function openControl(options: ControlOptions): Promise<ControlServer> {
  const { path, group = CONTROL_GROUP } = options;
  await clearPath(path);
  const limits = { ...CONTROL_LIMITS, ...options.limits };
  const sessions = new Set<Session>();
  const turns = createTurns();
  const service = createService(options, sessions, limits, turns);
  // A client may close its side once it has asked; it is answered all the same.
  const server = createServer(
    { allowHalfOpen: true },
    guarded('control', (socket: Socket) => {
      const session = admitted(socket, sessions, limits, turns);
      if (session !== null) attach(socket, session, sessions, service);
    }),
  );
  await listen(server, path);
  const notice = admit(path, group);
  // From now on an error is one of accepting (out of descriptors); those who are connected are served on.
  server.on(
    'error',
    guarded('control', (error) => options.onError?.(error)),
  );

  const elapsed = Math.min(TICK_MAX, limits.idle / 4, limits.stalled / 4);
  const timer = setInterval(
    guarded('control', () => {
      for (const session of sessions) session.tick(elapsed);
    }),
    elapsed,
  );
  timer.unref();
  let closing: Promise<void> | null = null;

  return {
    notice,
    publish(event) {
      let text: string | null = null;
      for (const session of sessions) {
        if (!session.subscribed) continue;
        text ??= JSON.stringify(event);
        session.publish(text);
      }
    },
    subscribers: () => count(sessions, (session) => session.subscribed),
    connections: () => sessions.size,
    close() {
      closing ??= new Promise((resolve) => {
        clearInterval(timer);
        server.close(() => resolve());
        for (const session of sessions) session.close();
      });
      return closing;
    },
  };
}

function admitted(
  socket: Socket,
  sessions: Set<Session>,
  limits: ControlLimits,
  turns: Turns,
): Session | null {
  socket.on(
    'error',
    guarded('control', () => {
      // Anyone who went away is taken out on `close`.
    }),
  );
  if (sessions.size >= limits.connections && !makeRoom(sessions)) {
    const error: Refusal = {
      code: 'full',
      message: `${limits.connections} clients are connected`,
      fix: 'try again in a moment',
    };
    socket.end(`${JSON.stringify({ v: 1, id: null, ok: false, error })}\n`, () => socket.destroy());
    return null;
  }
  const session = createSession(socket, limits, turns);
  sessions.add(session);
  return session;
}

function attach(socket: Socket, session: Session, sessions: Set<Session>, service: Service): void {
  socket.on(
    'close',
    guarded('control', () => sessions.delete(session)),
  );
  socket.on(
    'data',
    guarded('control', (chunk) => {
      if (session.push(chunk)) service.add(session);
    }),
  );
  socket.on(
    'end',
    guarded('control', () => {
      if (session.ended()) service.add(session);
    }),
  );
}

/** Cuts off who has been silent longest, so that nobody can keep others out by just sitting there. */
function makeRoom(sessions: Set<Session>): boolean {
  let silent: Session | undefined;
  for (const session of sessions) {
    if (session.busy || session.subscribed) continue;
    if (silent === undefined || session.waited > silent.waited) silent = session;
  }
  if (silent === undefined) return false;
  sessions.delete(silent);
  silent.close();
  return true;
}

/** Carries requests out: of each client one at a time, of all clients one in a turn of the event loop. */
interface Service {
  add(session: Session): void;
}

function createService(
  options: ControlOptions,
  sessions: Set<Session>,
  limits: ControlLimits,
  turns: Turns,
): Service {
  const queued = new Set<Session>();

  function add(session: Session): void {
    if (queued.has(session)) return;
    queued.add(session);
    turns.add(() => {
      queued.delete(session);
      if (sessions.has(session)) owned('control', serve(session));
    });
  }

  async function serve(session: Session): Promise<void> {
    const read = session.take();
    try {
      if (read !== null) {
        const answer = read.ok ? await carryOut(session, read.id, read.request) : read;
        await session.answer(read.id, answer);
      }
    } catch (error) {
      // A list that failed half-way: the client must not take what it got for the whole.
      options.onError?.(error);
      session.close();
    }
    if (session.rest()) add(session);
  }

  async function carryOut(session: Session, id: number, request: Request): Promise<Answer> {
    if (request.command === 'subscribe') return subscribe(session, id);
    try {
      const answer = await options.handle(request);
      // A list is cut here, so that no handler can forget it.
      return answer.ok && 'limit' in request && request.limit !== undefined
        ? { ...answer, limit: request.limit }
        : answer;
    } catch (error) {
      options.onError?.(error);
      const message = error instanceof Error ? sentenceOf(error) : 'the daemon failed';
      return { ok: false, error: { code: 'failed', message, fix: 'see the log of the daemon' } };
    }
  }

  function subscribe(session: Session, id: number): Answer {
    if (!session.subscribed && count(sessions, (each) => each.subscribed) >= limits.subscribers) {
      const message = `${limits.subscribers} clients are watching`;
      return { ok: false, error: { code: 'full', message, fix: 'end one of them' } };
    }
    session.subscribe(id);
    return { ok: true, data: {} };
  }

  return { add };
}

function count(sessions: Set<Session>, holds: (session: Session) => boolean): number {
  let held = 0;
  for (const session of sessions) if (holds(session)) held += 1;
  return held;
}
