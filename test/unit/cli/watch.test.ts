import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { built } from './built.ts';
import { answerOf, cannedDaemon, folder, rowsOfNow } from './canned.ts';

const hasTmux = spawnSync('tmux', ['-V']).status === 0;
const terminals: Terminal[] = [];

beforeAll(() => void built(), 60_000);
afterEach(() => {
  for (const terminal of terminals.splice(0)) terminal.close();
});

interface Terminal {
  type(...keys: readonly string[]): void;
  /** What stands on the screen. */
  screen(): string;
  /** Waits until the screen matches; the test's time limit ends it where it never does. */
  shows(what: RegExp): Promise<string>;
  /** The process that runs in the shell. */
  child(): number;
  resize(columns: number, rows: number): void;
  close(): void;
}

/** A shell in a terminal of its own, with the compiled program as `nfknock`. */
async function openShell(control: string): Promise<Terminal> {
  const place = mkdtempSync(join(tmpdir(), 'nfknock-tmux-'));
  const socket = join(place, 'socket');
  const tmux = (...args: readonly string[]): string =>
    execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], { encoding: 'utf8' });
  tmux(
    'new-session',
    '-d',
    '-x',
    '100',
    '-y',
    '30',
    'env',
    '-u',
    'NO_COLOR',
    `NFKNOCK_CONTROL=${control}`,
    'PS1=> ',
    'bash',
    '--norc',
    '--noprofile',
  );
  const screen = (): string => tmux('capture-pane', '-p');
  const terminal: Terminal = {
    type: (...keys) => void tmux('send-keys', ...keys),
    screen,
    async shows(what) {
      while (!what.test(screen())) await sleep(50);
      return screen();
    },
    child() {
      const shell = tmux('display-message', '-p', '#{pane_pid}').trim();
      return Number(readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ')[0]);
    },
    resize: (columns, rows) => void tmux('resize-window', '-x', `${columns}`, '-y', `${rows}`),
    close() {
      tmux('kill-server');
      rmSync(place, { recursive: true, force: true });
    },
  };
  terminals.push(terminal);
  await terminal.shows(/^>/m);
  terminal.type(
    `nfknock() { ${process.execPath} ${built()}/bin/nfknock.js "$@"; }; clear; echo before; stty -g | cksum`,
    'Enter',
  );
  await terminal.shows(/^\d+ \d+$/m);
  return terminal;
}

/** What the shell showed before, and the terminal's modes: both must be as they were. */
const AS_BEFORE = /^before\n(\d+ \d+)\n> .*watch.*\ncode (\d+)\n\1\n/;
/** The shell's last line is on the screen too, whole. */
const ENDED = /^code \d+\n\d+ \d+\n/m;
const WATCH = 'nfknock watch; echo code $?; stty -g | cksum';

describe.skipIf(!hasTmux)('watch', { timeout: 30_000 }, () => {
  it('shows doors, who is in, offenders, events and what is wrong, anew each second', async () => {
    const rows = rowsOfNow();
    const { path, server } = await cannedDaemon((request) => answerOf(request, rows));
    const terminal = await openShell(path);
    terminal.type(WATCH, 'Enter');
    await terminal.shows(/ssh +22\/tcp +12 +198\.51\.100\.7 +9m \d+s +ticket 4711/);
    server.publish({
      time: '2026-11-21T06:40:00.123Z',
      level: 'warn',
      event: 'decoy.hit',
      source: '203.0.113.20',
      port: '23/tcp',
      strikes: 2,
      reason: '\u001b[31mred',
    });
    const screen = await terminal.shows(/06:40:00 .*touched decoy 23\/tcp, strike 2/);
    expect(screen).toMatch(/web +8080\/tcp, 8443\/tcp +0 +everyone/);
    expect(screen).toMatch(/203\.0\.113\.9 +banned for 8m \d+s, ban 2\n/);
    expect(screen).toMatch(/203\.0\.113\.20 +2 strikes +ssh 1\/3\n/);
    terminal.type('q');
    expect(AS_BEFORE.exec(await terminal.shows(ENDED))?.[2]).toBe('0');
  });

  it('fits itself to a terminal that changes its size', async () => {
    const { path } = await cannedDaemon();
    const terminal = await openShell(path);
    terminal.type(WATCH, 'Enter');
    await terminal.shows(/Latest events/);
    terminal.resize(40, 12);
    const small = await terminal.shows(/^.{39}…$/m);
    expect(small.split('\n').length).toBeLessThanOrEqual(13);
    terminal.resize(120, 40);
    await terminal.shows(/state on disk/);
    terminal.type('C-c');
    expect(AS_BEFORE.exec(await terminal.shows(ENDED))?.[2]).toBe('0');
  });

  it.each(['TERM', 'HUP'])('gives the terminal back on SIG%s', async (signal) => {
    const { path } = await cannedDaemon();
    const terminal = await openShell(path);
    terminal.type(WATCH, 'Enter');
    await terminal.shows(/Latest events/);
    process.kill(terminal.child(), `SIG${signal}`);
    expect(await terminal.shows(ENDED)).toMatch(AS_BEFORE);
  });

  it('goes to the background and comes back', async () => {
    const { path } = await cannedDaemon();
    const terminal = await openShell(path);
    terminal.type('nfknock watch', 'Enter');
    await terminal.shows(/Latest events/);
    terminal.type('C-z');
    await terminal.shows(/Stopped/);
    terminal.type('fg', 'Enter');
    await terminal.shows(/Latest events/);
    terminal.type('q');
    await terminal.shows(/Stopped/);
  });

  it('says that the daemon went away, and goes on when it is back', async () => {
    const first = await cannedDaemon();
    const terminal = await openShell(first.path);
    terminal.type(WATCH, 'Enter');
    await terminal.shows(/Latest events/);
    await first.server.close();
    await terminal.shows(/! (no daemon answers|the daemon at .* ended)/);
    await cannedDaemon(undefined, first.path);
    while (/no daemon answers/.test(terminal.screen())) await sleep(50);
    terminal.type('q');
    await terminal.shows(/^code 0/m);
  });

  it('exits with 5 where no daemon is there at the start, and leaves the screen alone', async () => {
    const terminal = await openShell(join(folder(), 'none.sock'));
    terminal.type(WATCH, 'Enter');
    const screen = await terminal.shows(/^code 5/m);
    expect(screen).toMatch(/^before\n/);
    expect(screen).toContain('nfknock: no daemon answers');
  });
});
