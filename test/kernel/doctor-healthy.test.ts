import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { type Daemon, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { type Place, sh, startDocker, startFirewalld, startUfw } from '../support/healthy-machines.ts';
import { createNet } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';
import { skewed } from '../support/skewed.ts';

/* Machines as people have them, with nfknock beside what they run: nothing stands in the way but, before it is started, that no daemon runs. */

const LONG = 300_000;
const PATIENCE = 15_000;
const SERVICE = 22;
const KNOCK = [`${10_000 + Math.floor(Math.random() * 9_000)}/udp`, '7311/tcp', '29400/udp', '4711/tcp'];
const SSH = { knock: KNOCK, opens: [SERVICE] };

let net: Awaited<ReturnType<typeof createNet>>;
let place: Place;
let env: Readonly<Record<string, string>>;
let daemon: Daemon | undefined;
let undo: (() => void) | undefined;
beforeEach(async () => {
  net = await createNet();
  const folder = temporaryFolder();
  place = { server: net.server, folder };
  const clock = skewed();
  clock.set(0, 0, 'synchronised');
  env = { ...clock.env, NFKNOCK_ROLLBACK_DIR: `${folder}/kept` };
  await net.server.listen(SERVICE);
}, LONG);
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  daemon = undefined;
  undo?.();
  undo = undefined;
  net?.close();
}, LONG);

async function examined(file: string): Promise<readonly [number | null, readonly Finding[]]> {
  const { code, stdout, stderr } = await net.server.exec([...NFKNOCK, 'doctor', '--json', '-c', file], {
    env,
    timeout: 60_000,
  });
  expect(stderr).toBe('');
  return [code, (JSON.parse(stdout) as { findings: readonly Finding[] }).findings];
}

/** Rules by hand, then the daemon: with both nothing is found, and who knocks comes in. */
async function expectHealthy(config: object): Promise<void> {
  const { file } = writeConfig(config);
  const { code, stderr } = await net.server.exec([...NFKNOCK, 'rules', 'install', '-c', file], { env });
  expect([code, stderr]).toEqual([0, '']);
  const [without, findings] = await examined(file);
  expect([without, findings.map((each) => each.code)]).toEqual([1, ['no-daemon']]);
  daemon = await net.server.startDaemon(config, { timeout: 60_000, env });
  expect(await examined(daemon.config)).toEqual([0, []]);
  for (const to of [net.clientA.server4, net.clientA.server6]) {
    await net.clientA.moveToFreshSource();
    expect(await net.clientA.canConnect(to, SERVICE, 300)).toBe(false);
    const ports = KNOCK.map((each) =>
      each.endsWith('/udp') ? each.replace('/', ':') : `${Number.parseInt(each, 10)}`,
    );
    const opened = daemon.seen({ event: 'door.opened' }).length;
    await net.clientA.exec(['knock', '-d', '50', to, ...ports]);
    await expect
      .poll(() => daemon?.seen({ event: 'door.opened' }).length, { timeout: PATIENCE })
      .toBe(opened + 1);
    expect(await net.clientA.canConnect(to, SERVICE, PATIENCE)).toBe(true);
  }
  expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
  const warned = daemon.seen({ event: 'config.warning' }).map(({ reason = '' }) => reason);
  expect(warned.filter((reason) => !reason.startsWith('there is no group nfknock'))).toEqual([]);
}

describe('doctor finds nothing on', { timeout: LONG }, () => {
  it('a server with ufw, which drops what is not allowed', async () => {
    await startUfw(place, ['80/tcp', '443/tcp', '22/tcp']);
    await expectHealthy({ doors: { ssh: SSH }, allow: ['80/tcp', '443/tcp'], decoys: ['23/tcp', '161/udp'] });
  });

  it('a desktop with firewalld, which lets in knocks, the service and discovery, and serves what desktops serve', async () => {
    const ports = [...KNOCK, `${SERVICE}/tcp`, '1900/udp'].map((port) => `--add-port=${port}`);
    await startFirewalld(place, [...ports, '--add-service=mdns']);
    // Printers and other machines by discovery; a resolver and a print server on loopback.
    for (const port of [
      'UDP4-RECV:5353,reuseaddr',
      'UDP4-RECV:1900',
      'TCP4-LISTEN:631,bind=127.0.0.1,fork',
      'UDP4-RECV:53,bind=127.0.0.53',
    ])
      startProcess(net.server.namespace, ['socat', '-u', port, '/dev/null']);
    await expectHealthy({ doors: { ssh: SSH }, allow: ['5353/udp', '1900/udp'], decoys: 'all' });
  });

  it('a router with Docker, which publishes ports of containers', async () => {
    const engine = await startDocker(place);
    undo = engine.close;
    const serve = ['tiny', '/bin/busybox', 'nc', '-lk', '-p', '80', '-e', '/bin/busybox', 'cat'];
    await engine.docker('run', '-d', '-p', '8080:80', '-p', '127.0.0.1:2222:80', ...serve);
    await sh(place, 'iptables -t nat -S DOCKER | grep -q 8080; iptables -S DOCKER-USER | grep -q RETURN');
    await expectHealthy({ doors: { ssh: SSH }, decoys: 'all' });
  });
});
