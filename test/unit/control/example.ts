import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { BanRow } from '../../../src/control/answers.ts';
import type { Request } from '../../../src/control/message.ts';
import type { Answer } from '../../../src/control/output.ts';
import { type ControlOptions, type ControlServer, openControl } from '../../../src/control/server.ts';
import type { Status } from '../../../src/control/status.ts';

export const STATUS: Status = {
  version: '0.1.0',
  pid: 4711,
  uptime: 93_784,
  config: '/etc/nfknock/nfknock.yaml',
  doors: [
    { name: 'ssh', ports: ['22/tcp'], open: 1, opened: 12 },
    { name: 'web', ports: ['8080/tcp', '8443/tcp'], open: 0, opened: 0 },
  ],
  packets: { accepted: 36, opened: 12, wrong: 3, decoy: 40 },
  queue: {
    source: 'nfqueue',
    packets: 91,
    batches: 88,
    depth: 0,
    kernel_dropped: 0,
    user_dropped: 0,
    errors: 0,
    overruns: 0,
    lag: 0.4,
  },
  bans: 2,
  enforce: true,
  sources: 17,
  sources_max: 262_144,
  state: { ok: true, reason: null },
  firewall: { ok: true, reason: null },
  events_lost: 0,
  faults: 0,
  fleet: null,
  problems: [],
  warnings: [],
};

function banRow(index: number): BanRow {
  const target = `203.0.${(index >> 8) & 255}.${index & 255}`;
  return {
    target,
    since: '2026-11-21T06:40:00.000Z',
    until: '2026-11-21T06:50:00.000Z',
    count: 1,
    shadow: false,
    from: null,
  };
}

/** Answers `status`, and `bans` with as many rows as asked for. */
export function canned(bans = 3): (request: Request) => Answer {
  return (request) => {
    if (request.command === 'status') return { ok: true, data: STATUS };
    if (request.command === 'bans') return { ok: true, data: rows(bans) };
    return {
      ok: false,
      error: { code: 'failed', message: `${request.command} is not canned`, fix: 'ask for status' },
    };
  };
}

function* rows(count: number): Iterable<BanRow> {
  for (let index = 0; index < count; index += 1) yield banRow(index);
}

/** A folder that is gone after the test. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'nfknock-control-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A server that is closed after the test. */
export async function serve(
  options: Partial<ControlOptions> = {},
): Promise<{ path: string; server: ControlServer }> {
  const path = options.path ?? join(folder(), 'control.sock');
  const server = await openControl({ handle: canned(), ...options, path });
  onTestFinished(() => server.close());
  return { path, server };
}

/** A client that speaks raw lines, and is gone after the test. */
export interface RawClient {
  readonly socket: Socket;
  /** The next line; undefined: the connection ended. */
  line(): Promise<string | undefined>;
  json(): Promise<Record<string, unknown>>;
  /** Resolves once the server has ended the connection. */
  closed: Promise<void>;
}

export function dial(path: string, options: { read?: boolean } = {}): RawClient {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve()).once('end', () => resolve());
  });
  const lines =
    options.read === false ? undefined : createInterface({ input: socket })[Symbol.asyncIterator]();
  const line = async (): Promise<string | undefined> => {
    const next = await lines?.next();
    return next?.done === true ? undefined : next?.value;
  };
  return {
    socket,
    line,
    json: async () => JSON.parse((await line()) ?? 'null') as Record<string, unknown>,
    closed,
  };
}

export function asked(id: number, command: string, more: object = {}): string {
  return `${JSON.stringify({ v: 1, id, command, ...more })}\n`;
}

/** Resolves as soon as something holds; the test's own time limit ends it where it never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}
