// Runs inside a client's network namespace and makes connections for the tests, told so by JSON lines on
// standard input. It is one long-lived process, so that what a test times is the network and not a start.
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between two attempts: a SYN that came too early would be repeated only after a second. */
const RETRY_MS = 4;

const connections = new Map();
let last = 0;

const operations = {
  connect: ({ host, port, timeout, from }) => open(host, port, timeout, from),

  /** Runs a client, then connects as soon as it is let in; `ms` counts from the client's end. */
  runThenConnect: async ({ argv, host, port, timeout }) => {
    const [file, ...args] = argv;
    const client = spawnSync(file, args, { timeout: 30_000, encoding: 'utf8' });
    const started = performance.now();
    if (client.status !== 0)
      throw new Error(`${argv.join(' ')} ended with ${client.status}: ${client.stderr}`);
    while (performance.now() - started < timeout) {
      const result = await Promise.race([open(host, port, timeout), sleep(RETRY_MS, undefined)]);
      if (result?.connection !== undefined) return { ...result, ms: performance.now() - started };
    }
    return { error: 'ETIMEDOUT', ms: performance.now() - started };
  },

  /** Sends a text and waits for as many bytes to come back. */
  echo: async ({ connection, text, timeout }) => {
    const socket = connections.get(connection);
    if (socket === undefined || socket.destroyed) return { error: 'ENOTCONN' };
    let heard = '';
    const answer = new Promise((resolve) => {
      const take = (chunk) => {
        heard += chunk;
        if (heard.length >= text.length) settle(undefined);
      };
      const settle = (error) => {
        socket.off('data', take);
        resolve(error === undefined ? { text: heard } : { error, text: heard });
      };
      socket.on('data', take);
      socket.once('close', () => settle('ECONNRESET'));
      setTimeout(() => settle('ETIMEDOUT'), timeout).unref();
    });
    socket.write(text);
    return answer;
  },

  close: async ({ connection }) => {
    connections.get(connection)?.destroy();
    connections.delete(connection);
    return {};
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, operation, ...given } = JSON.parse(line);
  const result = await operations[operation](given).catch((error) => ({ error: error.message }));
  process.stdout.write(`${JSON.stringify({ id, ...result })}\n`);
});

function open(host, port, timeout, from) {
  const started = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
    const alarm = setTimeout(() => settle({ error: 'ETIMEDOUT' }), timeout);
    const settle = (result) => {
      clearTimeout(alarm);
      if (result.error !== undefined) socket.destroy();
      resolve({ ...result, ms: performance.now() - started });
    };
    socket.setEncoding('utf8');
    socket.on('error', (error) => settle({ error: error.code ?? error.message }));
    socket.on('connect', () => {
      last += 1;
      connections.set(last, socket);
      settle({ connection: last });
    });
  });
}
