import type { EngineAddress } from '../policy/fleet.ts';
import { sentenceOf } from '../text/error.ts';
import type { BusListener } from './bus.ts';
import type { Surroundings } from './host.ts';
import { askFacts, type Connection, type Credentials, connect, type EngineFacts } from './redis-connect.ts';
import { keysOf } from './redis-keys.ts';
import { findServer } from './redis-sentinel.ts';

/** Without an answer for so long the bus is away, in milliseconds. A request that got none may have been carried out. */
export const ANSWER_MS = 3_000;
const PING_MS = 1_000;
/** Between two attempts to connect: at first, and at most. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

export interface RedisOptions {
  readonly address: EngineAddress;
  readonly group: string;
  readonly login: Credentials;
  readonly surroundings: Pick<Surroundings, 'after' | 'random'>;
  /** Runs what a member does with an answer, and owns what that throws. */
  readonly guard: (work: () => unknown) => void;
}

/**
 * Two connections, from when both are there to when the first is gone. On the second one the doorbells come in, and
 * claims wait for the disk, for which nothing else must wait. Doorbells on the first would come in the midst of the
 * answer to a transaction that rings one (Redis 7.0), where the client can't tell them apart.
 */
export interface Life {
  readonly facts: EngineFacts;
  readonly main: Connection;
  readonly claims: Connection;
}

/** Connects, and connects again, until it is closed. */
export interface Lives {
  begin(): void;
  current(): Life | undefined;
  close(): void;
}

export function createLives(options: RedisOptions, listener: BusListener): Lives {
  const { address, group, login, surroundings, guard } = options;
  const keys = keysOf(group);
  let life: Life | undefined;
  let closed = false;
  let failures = 0;

  async function open(): Promise<void> {
    const opened: Connection[] = [];
    let over: string | undefined;
    const end = (reason: string): void => {
      if (over !== undefined) return;
      over = reason;
      for (const each of opened) each.close();
      if (life?.main !== opened[0] || life === undefined) return;
      life = undefined;
      guard(() => listener.disconnected(reason));
      again();
    };
    const ended = (reason: string): void => guard(() => end(reason));
    const cancel = surroundings.after(2 * ANSWER_MS, () => end(`no answer for ${(2 * ANSWER_MS) / 1000} s`));
    try {
      const server = await findServer(address, login.ca);
      for (let count = 0; count < 2 && over === undefined; count += 1)
        opened.push(await connect(server, login, login.ca, ended));
      const [main, claims] = opened;
      if (over !== undefined || closed || main === undefined || claims === undefined)
        throw new Error(over ?? 'closed here');
      const facts = await askFacts(main);
      await claims.subscribe(keys.channel('*'), (channel, message) =>
        guard(() => {
          const member = keys.memberOf(channel);
          if (member !== undefined && life?.main === main) listener.heard(member, message);
        }),
      );
      if (over !== undefined || closed) throw new Error(over ?? 'closed here');
      life = { facts, main, claims };
      failures = 0;
      for (const each of opened) watch(each, end);
      guard(() => listener.connected(facts.run));
    } catch (error) {
      const reason = over ?? sentenceOf(error);
      for (const each of opened) each.close();
      if (!closed) guard(() => listener.disconnected(reason));
      again();
    } finally {
      cancel();
    }
  }

  /** A cut that drops packets in silence is seen by this alone: what is written piles up, and nobody answers. */
  function watch(connection: Connection, end: (reason: string) => void): void {
    const isOver = (): boolean => life?.main !== connection && life?.claims !== connection;
    const ask = (): void => {
      if (isOver()) return;
      const late = surroundings.after(ANSWER_MS, () => {
        if (!isOver()) end(`no answer for ${ANSWER_MS / 1000} s`);
      });
      const answered = (): void => {
        late();
        surroundings.after(PING_MS, ask);
      };
      const failed = (error: unknown): void => {
        late();
        if (!isOver()) end(sentenceOf(error));
      };
      guard(() => connection.send(['PING']).then(answered, failed));
    };
    ask();
  }

  function again(): void {
    if (closed) return;
    failures += 1;
    const wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures - 1, 10));
    surroundings.after(wait * (0.5 + surroundings.random() / 2), () => {
      if (!closed) begin();
    });
  }

  /** Whatever it comes to, it says so itself, and tries again. */
  function begin(): void {
    guard(open);
  }

  return {
    begin,
    current: () => life,
    close() {
      closed = true;
      const was = life;
      life = undefined;
      was?.main.close();
      was?.claims.close();
    },
  };
}
