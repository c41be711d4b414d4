import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { example } from './lookalike.ts';
import { scratchFolder } from './peers-knockd.ts';

const SERVICES = [22, 8080, 25];

describe('what the knockd.conf of every guide does, by examples/knockd.yaml:', () => {
  let net: Net;
  let daemon: Daemon;
  const folder = scratchFolder();
  const hook = join(folder, 'hook');
  const told = join(folder, 'configured');
  const sequences = join(folder, 'sequences');

  beforeAll(async () => {
    net = await createNet();
    for (const port of SERVICES) await net.server.listen(port);
    writeFileSync(hook, `#!/bin/sh\necho "$@" >>${told}\n`);
    chmodSync(hook, 0o755);
    writeFileSync(sequences, ' 1025:tcp,2025:udp,3025:tcp\n');
    const places = {
      '/usr/bin/logger': hook,
      '/var/lib/nfknock/smtp.sequences': sequences,
      'for: 10s\n    on_open': 'for: 1s\n    on_open',
    };
    daemon = await net.server.startDaemon(example('knockd', places));
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const knock = async (...ports: readonly string[]): Promise<string> => {
    await net.clientA.exec(['knock', net.clientA.server4, ...ports]);
    return net.clientA.source().v4;
  };
  const reaches = (port: number): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, port);

  it('a sequence opens, and the same in reverse closes', async () => {
    await net.clientA.moveToFreshSource();
    const source = await knock('7000', '8000', '9000');
    await daemon.waitFor({ event: 'door.opened', source, door: 'ssh' });
    expect(await reaches(22)).toBe(true);
    await sleep(5_100);
    await knock('9000', '8000', '7000');
    await daemon.waitFor({ event: 'door.closed', source, door: 'ssh' });
    expect(await reaches(22)).toBe(false);
  });

  it('mixed knocks open for a time, and a command runs at the beginning and at the end', async () => {
    await net.clientA.moveToFreshSource();
    const source = await knock('2222:udp', '3333', '4444:udp');
    await daemon.waitFor({ event: 'door.closed', source, door: 'web', reason: 'expired' });
    await vi.waitFor(() => {
      expect(existsSync(told) ? readFileSync(told, 'utf8') : '').toBe(
        `web opened for ${source}\nweb closed for ${source}\n`,
      );
    }, 10_000);
    expect(await reaches(8080)).toBe(false);
  });

  it('a sequence of the file opens once', async () => {
    await net.clientA.moveToFreshSource();
    const source = await knock('1025', '2025:udp', '3025');
    await daemon.waitFor({ event: 'door.opened', source, door: 'mail' });
    expect(await reaches(25)).toBe(true);
    expect(readFileSync(sequences, 'utf8')).toBe('# 1025:tcp,2025:udp,3025:tcp\n');
    await net.clientA.moveToFreshSource();
    await knock('1025', '2025:udp', '3025');
    expect(await reaches(25)).toBe(false);
  });

  it('nobody is banned, as nobody is there; what would be is said', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    // The last step after the middle one is the rest of the same mistake.
    await knock('9000', '8000', '9000', '8000', '9000', '8000');
    expect(await daemon.waitFor({ event: 'ban.added', source: v4 })).toMatchObject({ shadow: true });
    const source = await knock('7000', '8000', '9000');
    await daemon.waitFor({ event: 'door.opened', source, door: 'ssh' });
  });
});
