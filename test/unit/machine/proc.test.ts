import { closeSync, openSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { adoptSessions } from '../../../src/firewall/netlink/adopt-sessions.ts';
import type { Answer } from '../../../src/firewall/netlink/socket.ts';
import { findListeners } from '../../../src/machine/listeners.ts';
import { holdersOf } from '../../../src/machine/proc.ts';

/** What anyone may make this machine look through keeps the event loop from nothing else. */

const undo: (() => void)[] = [];
afterEach(() => {
  for (const each of undo.splice(0)) each();
});

/** Turns of the event loop while something is looked for. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  await work();
  over = true;
  return turns;
}

describe('what /proc lists by the thousand is looked through in pieces', () => {
  it('who holds a socket, among many descriptors', async () => {
    const many = 600 + Math.floor(Math.random() * 300);
    const files = Array.from({ length: many }, () => openSync('/dev/null', 'r'));
    undo.push(() => files.forEach(closeSync));
    expect(await turnsDuring(() => holdersOf(new Set(['none'])))).toBeGreaterThan(many / 100);
  });

  /** Of this machine, with itself. */
  async function connections(count: number): Promise<number> {
    const server = createServer().listen(0, '0.0.0.0');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const clients = Array.from({ length: count }, () => connect(port, '127.0.0.1'));
    undo.push(() => {
      for (const client of clients) client.destroy();
      server.close();
    });
    await Promise.all(clients.map((client) => new Promise((resolve) => client.once('connect', resolve))));
    return port;
  }

  // Against: connections by the ten thousand, which are read when the first rules are laid
  // by: entries of open connections are made some at a time
  it('what is open, among many connections', async () => {
    await connections(600);
    // Those with other machines are this machine's own business.
    const request = async (): Promise<Answer> => ({ ok: true, messages: [] });
    const nobody = { request, join: () => undefined, close: () => undefined };
    expect(await turnsDuring(() => adoptSessions(nobody))).toBeGreaterThan(4);
  });

  // Against: connections by the ten thousand, which the kernel lists beside who listens
  // by: read and looked through in pieces
  it('who listens, among many connections', async () => {
    const port = await connections(300);
    const own = { protocol: 'tcp', port, families: [4], process: { pid: process.pid } };
    let found: Awaited<ReturnType<typeof findListeners>> = [];
    const turns = await turnsDuring(async () => {
      found = await findListeners();
    });
    expect(found.filter((each) => each.port === port)).toMatchObject([own]);
    expect(turns).toBeGreaterThan(3);
  });
});
