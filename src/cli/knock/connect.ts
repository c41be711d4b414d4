import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import type { Port } from '../../packet/port.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/** Milliseconds that a door may take to open, and how long one try may: a SYN that is dropped is repeated after a second only. */
const OPEN_MAX = 10_000;
const TRY = { first: 150, most: 3000 } as const;
/** Milliseconds from the knock to the first try, in which most doors have opened. */
const BEFORE = 50;

/**
 * A connection to a port that is about to open: the first that any of the addresses takes. Tries grow longer, since a
 * server may count a touch of a port that is shut. Rejects with CommandFailure where it stays shut.
 */
export async function connectOnceOpen(addresses: readonly string[], port: Port): Promise<Socket> {
  const end = systemClock.now() + OPEN_MAX;
  let why = '';
  await sleep(BEFORE);
  for (let patience: number = TRY.first; ; patience = Math.min(2 * patience, TRY.most)) {
    const left = end - systemClock.now();
    if (left <= 0) break;
    const tried = await firstOf(addresses, port, Math.min(patience, left));
    if (typeof tried !== 'string') return tried;
    why = tried;
    // What is refused is refused at once.
    await sleep(Math.max(0, Math.min(patience / 2, end - systemClock.now())));
  }
  const answer = why === '' ? `nothing answers within ${OPEN_MAX / 1000} s` : `it says ${why}`;
  throw new CommandFailure(
    EXIT.failed,
    `${port}/tcp of ${addresses.join(' and ')} stays shut (${answer}): is it what this door opens? On the server "nfknock explain", with your address, says what became of the knock`,
  );
}

/** The first connection, or what the last address to fail said; an empty text: nothing. */
async function firstOf(addresses: readonly string[], port: Port, patience: number): Promise<Socket | string> {
  const sockets: Socket[] = [];
  let said = '';
  const tries = addresses.map(
    (host) =>
      new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port, allowHalfOpen: true });
        sockets.push(socket);
        socket.setTimeout(patience, () => reject(new Error('late')));
        socket.once('connect', () => {
          socket.setTimeout(0);
          resolve(socket);
        });
        socket.on('error', (error) => {
          said = codeOf(error);
          reject(error);
        });
      }),
  );
  const taken = await Promise.any(tries).catch(() => undefined);
  for (const socket of sockets) if (socket !== taken) socket.destroy();
  return taken ?? said;
}
