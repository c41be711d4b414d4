import { once } from 'node:events';
import { chmod, lstat, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createConnection, type ListenOptions } from 'node:net';
import type { NfknockEvent } from '../engine/event.ts';
import { guarded } from '../guard/guard.ts';
import { createCounters } from './counters.ts';
import { createRegistry, type Measures, type Place, type Reading } from './registry.ts';

/** Prometheus keeps one connection; what else knocks here gets no more than this. Our choice. */
const CONNECTIONS_MAX = 16;
const REQUEST_MS_MAX = 5000;
const HEADER_BYTES_MAX = 8192;
const REQUESTS_A_CONNECTION_MAX = 1000;
/** One rendering serves every request of this time, in milliseconds: asking often costs the daemon little. */
const FRESH_MS = 250;
const SOCKET_MODE = 0o660;

/** Where metrics can't be offered: what the system said and what fixes it. */
class MetricsError extends Error {
  readonly code: string;
  constructor(place: string, code: string, options?: ErrorOptions) {
    super(
      `metrics: ${place} can not be listened on (${code}): ${FIX[code] ?? 'name another place under metrics:'}`,
      options,
    );
    this.name = 'MetricsError';
    this.code = code;
  }
}

const FIX: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has it; name another port or path under metrics:',
  EACCES: "nfknock's user may not; name a port above 1023, or a path in /run/nfknock",
  ENOENT: 'its directory is missing; name a path in /run/nfknock',
};

export interface Metrics extends Measures {
  observe(event: NfknockEvent): void;
  /** Ends every connection. Idempotent. */
  close(): Promise<void>;
}

/**
 * Offers Prometheus metrics at `host:port` or on a Unix socket: GET /metrics and nothing else. Rejects with a
 * MetricsError. `read` is called at a scrape, at most every FRESH_MS.
 */
export async function openMetrics(
  place: string,
  read: () => Reading,
  where: Place = 'alone',
): Promise<Metrics> {
  const counters = createCounters();
  const { registry, measures } = createRegistry(counters, memoised(read), where);
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      requestTimeout: REQUEST_MS_MAX,
      headersTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: 1000,
    },
    guarded(
      'metrics',
      answerWith(
        briefly(() => registry.metrics()),
        registry.contentType,
      ),
    ),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_A_CONNECTION_MAX;
  // A client that neither asks nor reads is cut off.
  server.setTimeout(2 * REQUEST_MS_MAX, (socket) => socket.destroy());
  server.on(
    'clientError',
    guarded('metrics', (_error, socket) => socket.destroy()),
  );
  await listen(server, place);
  // What a connection does wrong is that connection's; the daemon goes on.
  server.on('error', () => undefined);
  let closing: Promise<void> | undefined;
  return {
    ...measures,
    observe: counters.observe,
    close() {
      closing ??= end(server);
      return closing;
    },
  };
}

function answerWith(render: () => Promise<string>, contentType: string) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').split('?')[0];
    const hasBody =
      request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
    // A body is never read: the connection ends with the answer.
    if (hasBody) response.setHeader('Connection', 'close');
    if (path !== '/metrics') {
      refuse(response, 404, 'only /metrics is here');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      refuse(response, 405, 'only GET is answered');
      return;
    }
    const body = await render().catch(() => undefined);
    if (body === undefined) {
      refuse(response, 500, 'the metrics could not be gathered');
      return;
    }
    response
      .writeHead(200, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) })
      .end(body);
  };
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

/** All samples of one rendering come from one reading. */
function memoised(read: () => Reading): () => Reading {
  let reading: Reading | undefined;
  return () => {
    if (reading === undefined) {
      reading = read();
      setImmediate(
        guarded('metrics', () => {
          reading = undefined;
        }),
      );
    }
    return reading;
  };
}

function briefly(render: () => Promise<string>): () => Promise<string> {
  let rendered: Promise<string> | undefined;
  return () => {
    if (rendered === undefined) {
      rendered = render();
      setTimeout(
        guarded('metrics', () => {
          rendered = undefined;
        }),
        FRESH_MS,
      ).unref();
    }
    return rendered;
  };
}

async function listen(server: Server, place: string): Promise<void> {
  const where = placeOf(place);
  try {
    if (where.path !== undefined) await removeStale(where.path);
    const listening = once(server, 'listening');
    // It is made within the call: with another mode first, anyone could connect in between.
    const before = process.umask(0o777 & ~SOCKET_MODE);
    try {
      server.listen(where);
    } finally {
      process.umask(before);
    }
    await listening;
    if (where.path !== undefined) await chmod(where.path, SOCKET_MODE);
  } catch (error) {
    throw new MetricsError(place, (error as NodeJS.ErrnoException).code ?? 'unknown', { cause: error });
  }
}

/** `127.0.0.1:9477`, `[::1]:9477`, `localhost:9477` or an absolute path; the configuration admits no other. */
function placeOf(place: string): ListenOptions {
  if (place.startsWith('/')) return { path: place };
  const colon = place.lastIndexOf(':');
  return { host: place.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(place.slice(colon + 1)) };
}

/** A socket file that nobody listens on is left from a process that was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true) return;
  const probe = createConnection(path);
  const alive = await once(probe, 'connect').then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ECONNREFUSED',
  );
  probe.destroy();
  if (!alive) await rm(path, { force: true });
}

async function end(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
