import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { parseKeyFile } from '../../src/config/key-file.ts';
import { NFKNOCK } from '../support/daemon.ts';

/* A key that is being made, and somebody who ends that: strace makes the disk slow. */

const CONFIG = `listen: { spa: [62201/udp] }
doors: { ssh: { knock: spa, opens: [22/tcp] } }
keys: FILE
`;

// Against: ^C, or a session that hangs up, between the file of the client and that of the server
// by: a key is in both files or in none; nothing is left that opens nothing and is in the next one's way
it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'a key is whole or not made at all with %s',
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-given-up-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const [config, file, to] = ['nfknock.yaml', 'keys.yaml', 'ada.key'].map((name) => join(folder, name));
    if (config === undefined || file === undefined || to === undefined) throw new Error('three names');
    writeFileSync(config, CONFIG.replace('FILE', file));
    const program = [...NFKNOCK, 'key', 'new', 'ada', '-c', config, '--door', 'ssh', '--out', to];
    // The file of the client is there, and that of the server takes long to get to the disk.
    const slow = [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fsync',
      '-e',
      'inject=fsync:delay_enter=1500000',
    ];
    const child = spawn('strace', [...slow, ...program], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await expect.poll(() => existsSync(to), { timeout: 20_000, interval: 5 }).toBe(true);
    const pid = readFileSync(`${file}.lock`, 'utf8').trim();
    process.kill(Number(pid), signal);
    await ended;
    const keys = existsSync(file) ? parseKeyFile(readFileSync(file, 'utf8'), file) : undefined;
    expect(existsSync(to)).toBe(keys?.ok === true && keys.file.keys.length === 1);
    expect(existsSync(`${file}.lock`)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([]);
  },
);
