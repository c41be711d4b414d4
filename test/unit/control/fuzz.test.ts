import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ask } from '../../../src/control/client.ts';
import { heap } from '../../support/heap.ts';
import { asked, canned, dial, STATUS, serve, until } from './example.ts';

const MESSAGES = 100_000;
/** Clients that send at once. */
const CLIENTS = 24;
/** What 100,000 broken messages may leave behind on the heap, in bytes. */
const GROWTH_MAX = 4 * 1_048_576;

const whole = [
  asked(1, 'status'),
  asked(2, 'bans'),
  asked(3, 'grant', { door: 'ssh', address: '198.51.100.7', for: 1000, reason: 'ticket' }),
  asked(4, 'unban', { all: true }),
  asked(5, 'explain', { address: '2001:db8::7' }),
];

/** Messages that were whole and have been cut, swapped, doubled and sprinkled with bytes, from a fixed seed. */
function brokenMessages(): Buffer[] {
  // A linear congruential generator (Numerical Recipes): the same messages in every run.
  let state = 20_261_121;
  const pick = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: MESSAGES }, () => {
    const message = Buffer.from(whole[pick(whole.length)] ?? '');
    for (let change = pick(4); change >= 0; change -= 1) message[pick(message.length)] = pick(256);
    if (pick(5) === 0) return message.subarray(0, pick(message.length));
    if (pick(5) === 0) return Buffer.concat([message, message.subarray(pick(message.length))]);
    return message;
  });
}

describe('100,000 broken messages', () => {
  // Against: broken messages
  // by: a parser that takes anything
  it('leave a daemon that answers, with no more memory than before', async () => {
    const errors: unknown[] = [];
    const { path, server } = await serve({ handle: canned(), onError: (error) => errors.push(error) });
    const messages = brokenMessages();
    await ask(path, { command: 'status' });
    const before = heap();
    const counts = await Promise.all(
      Array.from({ length: CLIENTS }, (_, index) =>
        sendAll(
          path,
          messages.filter((__, number) => number % CLIENTS === index),
        ),
      ),
    );
    const answers = counts.reduce((sum, each) => sum + each, 0);
    // A broken message may hold newlines, or lack one and swallow the next: answers come for most, not one for one.
    expect(answers).toBeGreaterThan(MESSAGES / 2);
    expect(errors).toEqual([]);
    expect(await ask(path, { command: 'status' })).toEqual(STATUS);
    await until(() => server.connections() === 0);
    // What a connection leaves is freed some turns after its end.
    for (let turn = 0; turn < 40 && heap() - before > GROWTH_MAX; turn += 1) await sleep(50);
    expect(heap() - before).toBeLessThan(GROWTH_MAX);
  }, 180_000);
});

/** Sends the messages, over new connections where one is ended, and counts the lines that come back. */
async function sendAll(path: string, messages: readonly Buffer[]): Promise<number> {
  let lines = 0;
  for (let next = 0; next < messages.length; ) {
    const { socket, closed } = dial(path, { read: false });
    let open = true;
    void closed.then(() => {
      open = false;
    });
    socket.on('data', (chunk) => {
      for (const byte of chunk) if (byte === 10) lines += 1;
    });
    while (open && next < messages.length) {
      const batch = Buffer.concat(messages.slice(next, next + 50));
      next += 50;
      if (!socket.write(batch))
        await Promise.race([closed, new Promise((resolve) => socket.once('drain', resolve))]);
    }
    socket.end();
    await closed;
  }
  return lines;
}
