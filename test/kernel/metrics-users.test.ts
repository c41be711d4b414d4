import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Who of this machine's users reads the metrics at a Unix socket. */

/** Nobody's number on Debian; any that runs nothing here would do. */
const STRANGER = 65_534;
/** curl: failed to connect. */
const NOT_REACHED = 7;

let net: Net;
let daemon: Daemon;
const folder = temporaryFolder();
const socket = join(folder, 'metrics.sock');

beforeAll(async () => {
  // What keeps others out is the socket's own mode.
  chmodSync(folder, 0o755);
  net = await createNet();
  daemon = await net.server.startDaemon({
    doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } },
    metrics: `unix:${socket}`,
  });
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe('metrics at a Unix socket', () => {
  const readAs = (user: number, group: number) => {
    const curl = ['curl', '-sS', '-m', '5', '--unix-socket', socket, 'http://nfknock/metrics'];
    return net.server.exec(['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', ...curl]);
  };

  // Against: a local user who reads metrics
  // by: a Unix socket for owner and group
  it('are read by its owner and its group, and by no other user', async () => {
    const own = { user: process.getuid?.() ?? 0, group: process.getgid?.() ?? 0 };
    expect((await readAs(own.user, STRANGER)).stdout).toContain('nfknock_bans 0');
    expect((await readAs(STRANGER, own.group)).stdout).toContain('nfknock_bans 0');
    expect(await readAs(STRANGER, STRANGER)).toMatchObject({ code: NOT_REACHED, stdout: '' });
  });
});
