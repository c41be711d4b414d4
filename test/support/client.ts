import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startProcess } from './process.ts';
import { ROOT } from './root.ts';

/** What a client's agent does: connections, made in the client's namespace. */
export interface Agent {
  /** True where a connection is made within `timeout` milliseconds, `from` an address of ours; it is closed at once. */
  canConnect(host: string, port: number, timeout?: number, from?: string): Promise<boolean>;
  /** A connection that stays; throws where none is made. */
  openConnection(host: string, port: number): Promise<Connection>;
  /** Runs a client, then tries to connect until it is let in; undefined where it never is. */
  runThenConnect(
    argv: readonly string[],
    host: string,
    port: number,
    timeout?: number,
  ): Promise<LetIn | undefined>;
}

export interface LetIn extends Connection {
  /** Milliseconds from the client's end to the connection. */
  readonly ms: number;
}

export interface Connection {
  /** True where a text sent came back within `timeout` milliseconds. */
  echoes(text: string, timeout?: number): Promise<boolean>;
  close(): Promise<void>;
}

interface Answer {
  readonly error?: string;
  readonly connection?: number;
  readonly ms?: number;
  readonly text?: string;
}

const CONNECT_TIMEOUT_MS = 300;
const ECHO_TIMEOUT_MS = 2_000;

export async function startAgent(namespace: string): Promise<Agent> {
  const child = startProcess(namespace, [process.execPath, join(ROOT, 'test/support/agent.mjs')]);
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  child.stderr.on('data', (text) => process.stderr.write(text));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Answer & { readonly id: number };
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  child.on('exit', () => {
    for (const settle of waiting.values()) settle({ error: 'the client ended' });
  });

  const ask = (operation: string, given: object): Promise<Answer> =>
    new Promise((resolve) => {
      last += 1;
      waiting.set(last, resolve);
      child.stdin.write(`${JSON.stringify({ id: last, operation, ...given })}\n`);
    });
  const connectionOf = (connection: number): Connection => ({
    echoes: async (text, timeout = ECHO_TIMEOUT_MS) =>
      (await ask('echo', { connection, text, timeout })).text === text,
    close: async () => {
      await ask('close', { connection });
    },
  });

  return {
    canConnect: async (host, port, timeout = CONNECT_TIMEOUT_MS, from = undefined) => {
      const { connection } = await ask('connect', { host, port, timeout, from });
      if (connection !== undefined) await ask('close', { connection });
      return connection !== undefined;
    },
    openConnection: async (host, port) => {
      const { connection, error } = await ask('connect', { host, port, timeout: ECHO_TIMEOUT_MS });
      if (connection === undefined) throw new Error(`no connection to ${host} port ${port}: ${error}`);
      return connectionOf(connection);
    },
    runThenConnect: async (argv, host, port, timeout = CONNECT_TIMEOUT_MS) => {
      const { connection, ms = 0, error } = await ask('runThenConnect', { argv, host, port, timeout });
      if (connection !== undefined) return { ...connectionOf(connection), ms };
      if (error !== 'ETIMEDOUT') throw new Error(error);
      return undefined;
    },
  };
}
