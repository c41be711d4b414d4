import { join } from 'node:path';
import { ask as askAt, type Connection, connectControl } from '../../src/control/client.ts';
import type { AnswerTo, Request } from '../../src/control/message.ts';
import type { Daemon } from './daemon.ts';
import type { Host } from './net.ts';
import { startProcess } from './process.ts';

/** Asks the daemon over its socket, as the commands do. */
export function ask<Asked extends Request>(daemon: Daemon, request: Asked): Promise<AnswerTo<Asked>> {
  return askAt(join(daemon.folder, 'control.sock'), request);
}

/** A connection to the daemon, over which many things can be asked at once. */
export function connectTo(daemon: Daemon): Promise<Connection> {
  return connectControl(join(daemon.folder, 'control.sock'));
}

/** Milliseconds that a packet may take from its client's start to its judgement. */
const SENT_WITHIN = 10_000;

/** Runs a client that sends one packet, until the daemon has judged it, whatever became of it. */
export async function sendOne(daemon: Daemon, from: Host, argv: readonly string[]): Promise<void> {
  const before = await judged(daemon);
  const client = startProcess(from.namespace, argv);
  const deadline = performance.now() + SENT_WITHIN;
  while ((await judged(daemon)) === before) {
    if (performance.now() > deadline) throw new Error(`nothing came of ${argv.join(' ')}`);
  }
  client.kill('SIGKILL');
}

async function judged(daemon: Daemon): Promise<number> {
  const { packets } = await ask(daemon, { command: 'status' });
  return Object.values(packets).reduce((sum, count) => sum + count, 0);
}
