import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Notifier, openNotifier } from '../../../src/daemon/notify.ts';
import { ROOT } from '../../support/root.ts';

/** systemd's side: a Unix datagram socket, which Python has. Each datagram becomes one line of JSON. */
const RECEIVER = `
import json, socket, sys
name = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("\\0" + name[1:] if name.startswith("@") else name)
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(receiver.recv(65536).decode()), flush=True)
`;

let directory = '';
let receiver: ChildProcess | undefined;
let notifier: Notifier | undefined;
let told: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nfknock-notify-'));
  told = [];
});
afterEach(() => {
  notifier?.close();
  receiver?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

async function receive(name: string): Promise<void> {
  const child = spawn('python3', ['-c', RECEIVER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  receiver = child;
  const lines = createInterface({ input: child.stdout });
  const bound = once(lines, 'line');
  lines.on('line', (line: string) => told.push(JSON.parse(line) as string));
  await bound;
  told = [];
}
async function until(count: number): Promise<string[]> {
  await expect.poll(() => told.length, { timeout: 5000 }).toBeGreaterThanOrEqual(count);
  return told;
}

describe('systemd', () => {
  test.each([
    ['a path', () => join(directory, 'notify')],
    ['an abstract name', () => `@nfknock-test-${process.pid}-${Date.now()}`],
  ])('is told on %s that the daemon is ready, reloads, and stops', async (_kind, name) => {
    const socket = name();
    await receive(socket);
    notifier = openNotifier({ NOTIFY_SOCKET: socket }, process.pid);
    notifier.ready('2 doors');
    notifier.reloading();
    notifier.status('one\ntwo\nREADY=1');
    notifier.stopping('SIGTERM');
    const [ready, reloading, status, stopping] = await until(4);
    expect(ready).toBe('READY=1\nSTATUS=2 doors\n');
    expect(reloading).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d{6,}\n$/);
    expect(status).toBe('STATUS=one two READY=1\n');
    expect(stopping).toBe('STOPPING=1\nSTATUS=SIGTERM\n');
  });

  // Against: descriptors that are short for so long that the daemon is ended for want of its word
  // by: the socket to the watchdog is held from the first word on
  test('hears from the watchdog though no descriptor is left, with nothing of it in a child', async () => {
    const socket = join(directory, 'notify');
    await receive(socket);
    const native = pathToFileURL(join(ROOT, 'native/index.js')).href;
    const script = `
      import { execFileSync } from 'node:child_process';
      import { openSync } from 'node:fs';
      const { sendDatagram } = await import('${native}');
      const tell = (text) => sendDatagram(${JSON.stringify(socket)}, Buffer.from(text));
      tell('READY=1');
      const held = execFileSync('ls', ['-l', '/proc/self/fd']).toString();
      tell(/ ([3-9]|\\d\\d+) -> socket:/.test(held) ? 'inherited' : 'clean');
      let code;
      try { for (;;) openSync('/dev/null', 'r'); } catch (error) { code = error.code; }
      tell(code);
      for (let time = 0; time < 3; time += 1) tell('WATCHDOG=1');
    `;
    const limited = [
      '-c',
      'ulimit -n 256; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ];
    const child = spawn('sh', limited, { stdio: ['ignore', 'inherit', 'inherit'] });
    await once(child, 'exit');
    expect(await until(6)).toEqual(['READY=1', 'clean', 'EMFILE', 'WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
  });

  test('hears from the watchdog at half its time, as long as the daemon is alive', async () => {
    const socket = join(directory, 'notify');
    await receive(socket);
    let alive = true;
    notifier = openNotifier(
      { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '40000', WATCHDOG_PID: String(process.pid) },
      process.pid,
    );
    notifier.watch(() => alive);
    expect(new Set(await until(3))).toEqual(new Set(['WATCHDOG=1\n']));
    alive = false;
    await new Promise((resolve) => setTimeout(resolve, 60));
    const before = told.length;
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(told).toHaveLength(before);
  });

  test('hears no watchdog that is meant for another process', async () => {
    const socket = join(directory, 'notify');
    await receive(socket);
    notifier = openNotifier(
      { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' },
      process.pid,
    );
    notifier.watch(() => true);
    notifier.status('end');
    expect(await until(1)).toEqual(['STATUS=end\n']);
  });

  test('that has gone away, or was never there, harms nobody', () => {
    for (const env of [
      {},
      { NOTIFY_SOCKET: '' },
      { NOTIFY_SOCKET: join(directory, 'absent') },
      { NOTIFY_SOCKET: `/${'x'.repeat(300)}` },
    ]) {
      notifier = openNotifier(env, process.pid);
      expect(() => notifier?.ready('x')).not.toThrow();
    }
  });

  test('is not within reach of the commands that the daemon runs', () => {
    const env = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '1', WATCHDOG_PID: '1', PATH: '/bin' };
    notifier = openNotifier(env, process.pid);
    expect(env).toEqual({ PATH: '/bin' });
  });
});
