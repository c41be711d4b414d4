import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { built } from './built.ts';

const opened = (door: string): string =>
  `{"time":"2026-11-21T06:40:00.123Z","level":"info","event":"door.opened","source":"198.51.100.7","door":"${door}","ports":["22/tcp"],"until":"2026-11-21T06:40:30.123Z"}`;
const BANNED =
  '{"time":"2026-11-21T06:41:00.000Z","level":"info","event":"ban.expired","source":"203.0.113.9"}';

let directory = '';
let main = '';
let log = '';
beforeAll(() => {
  main = join(built(), 'bin/nfknock.js');
  directory = mkdtempSync(join(tmpdir(), 'nfknock-tail-'));
  log = join(directory, 'events.log');
  writeFileSync(
    log,
    `${[...Array.from({ length: 20 }, (_, index) => opened(`d${index}`)), BANNED, 'noise'].join('\n')}\n`,
  );
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function tail(args: readonly string[], input = ''): { code: number | null; out: string[]; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'tail', ...args], {
    input,
    encoding: 'utf8',
  });
  return { code: status, out: stdout.split('\n').slice(0, -1), err: stderr };
}
function configWith(file: string | null): string {
  const path = join(directory, 'nfknock.yaml');
  writeFileSync(
    path,
    `doors:\n  ssh: { knock: [7000, 8000, 9000], opens: [22/tcp] }\nlog: { file: ${file} }\n`,
  );
  return path;
}

describe('nfknock tail', () => {
  test('prints the last ten lines of a log, as text', () => {
    const { code, out } = tail([log]);
    expect(code).toBe(0);
    expect(out).toHaveLength(10);
    expect(out[8]).toBe('2026-11-21 06:41:00.000  info   ban.expired        203.0.113.9      ban over');
    expect(out[9]).toBe('noise');
  });

  test('finds the log in the configuration', () => {
    expect(tail(['-c', configWith(log), '-n', '1', '--door', 'd3']).out).toEqual([
      expect.stringContaining('opened door d3'),
    ]);
  });

  test('says how to read the journal where the configuration names no log file', () => {
    const { code, err } = tail(['-c', configWith(null)]);
    expect(code).toBe(1);
    expect(err).toMatch(/has no log\.file.*journalctl -u nfknock -o cat \| nfknock tail -\n$/);
  });

  test('--json passes the matching lines through unchanged, and they alone', () => {
    for (const source of ['203.0.113.0/24', '::ffff:203.0.113.9', '::ffff:203.0.113.0/120'])
      expect(tail([log, '--json', '-n', '100', '--source', source]).out).toEqual([BANNED]);
  });

  test('prints all of standard input, also where its last line is cut short', () => {
    const many = `${Array.from({ length: 30 }, () => BANNED).join('\n')}\n{"time":"20`;
    expect(tail(['-'], many).out).toHaveLength(31);
    expect(tail(['-', '-n', '2', '--json'], many).out).toEqual([BANNED, BANNED]);
  });

  test.each([
    [['--source', '203.0.113.9/24'], 2, /--source "203\.0\.113\.9\/24" is no address or network/],
    [['-n', 'ten'], 2, /--lines "ten" is no count/],
  ])('refuses %j with exit code %i', (args, exit, message) => {
    const { code, err } = tail([log, ...args]);
    expect(code).toBe(exit);
    expect(err).toMatch(message);
  });

  test('of a file that is not there says what to do', () => {
    const { code, err } = tail([join(directory, 'absent.log')]);
    expect(code).toBe(1);
    expect(err).toMatch(/absent\.log is not there: is the daemon running\? With -f it is waited for\n$/);
  });

  test('-f follows the file and ends when its reader goes away', async () => {
    const path = join(directory, 'followed.log');
    writeFileSync(path, `${BANNED}\n`);
    const child = spawn(process.execPath, [main, 'tail', '-f', '--json', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
      await expect.poll(() => out, { timeout: 5000 }).toBe(`${BANNED}\n`);
      appendFileSync(path, `${opened('late')}\n`);
      await expect.poll(() => out, { timeout: 5000 }).toBe(`${BANNED}\n${opened('late')}\n`);
      const exit = once(child, 'exit');
      child.stdout.destroy();
      const feeding = setInterval(() => appendFileSync(path, `${BANNED}\n`), 50);
      const [code] = (await exit) as [number | null];
      clearInterval(feeding);
      expect(code).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
