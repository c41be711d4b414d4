import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { BanRow, Explanation, GrantRow, SourceRow } from '../../../src/control/answers.ts';
import type { Request } from '../../../src/control/message.ts';
import type { Answer } from '../../../src/control/output.ts';
import { type ControlServer, openControl } from '../../../src/control/server.ts';
import { STATUS } from '../control/example.ts';
import { built } from './built.ts';

const MINUTE = 60_000;

/** ISO 8601, so many milliseconds from now. */
function soon(after: number): string {
  return new Date(Date.now() + after).toISOString();
}

export interface Rows {
  readonly grants: readonly GrantRow[];
  readonly bans: readonly BanRow[];
  readonly sources: readonly SourceRow[];
}

/** What a daemon would answer now: some began a minute ago, and the shortest ends in nine. */
export function rowsOfNow(): Rows {
  const grants: readonly GrantRow[] = [
    {
      door: 'ssh',
      grantee: '198.51.100.7',
      source: '198.51.100.7',
      since: soon(-MINUTE),
      until: soon(10 * MINUTE),
      uses_left: 2,
      reason: 'ticket 4711',
      key: null,
      person: null,
      from: null,
    },
    {
      door: 'web',
      grantee: 'any',
      source: '2001:db8::7',
      since: soon(-MINUTE),
      until: soon(60 * MINUTE),
      uses_left: null,
      reason: null,
      key: null,
      person: null,
      from: null,
    },
  ];
  const bans: readonly BanRow[] = [
    {
      target: '203.0.113.9',
      since: soon(-MINUTE),
      until: soon(9 * MINUTE),
      count: 2,
      shadow: false,
      from: null,
    },
    {
      target: '2001:db8:0:1::/64',
      since: soon(-MINUTE),
      until: soon(7 * 24 * 60 * MINUTE),
      count: 1,
      shadow: true,
      from: null,
    },
  ];
  const sources: readonly SourceRow[] = [
    { source: '203.0.113.20', strikes: 2, attempts: [{ door: 'ssh', step: 1, of: 3 }], banned: null },
    { source: '203.0.113.9', strikes: 3, attempts: [], banned: soon(9 * MINUTE) },
  ];
  return { grants, bans, sources };
}

export const ROWS: Rows = rowsOfNow();

const past = {
  door: null,
  step: null,
  of: null,
  strikes: null,
  exempt: null,
  reason: null,
  key: null,
  person: null,
};
export const EXPLANATION: Explanation = {
  source: '203.0.113.20',
  grants: [],
  ban: null,
  strikes: 1,
  attempts: [{ door: 'ssh', step: 1, of: 3 }],
  packets: [
    { ...past, time: '2026-11-21T06:40:00.000Z', port: '23/tcp', outcome: 'decoy', strikes: 1 },
    {
      ...past,
      time: '2026-11-21T06:40:01.000Z',
      port: '7000/tcp',
      outcome: 'accepted',
      door: 'ssh',
      step: 1,
      of: 3,
    },
    {
      ...past,
      time: '2026-11-21T06:40:02.000Z',
      port: null,
      outcome: 'something newer',
      reason: 'unheard of',
    },
  ],
  forgotten: 5,
};

/** A daemon's answers without a daemon. */
export function answerOf(request: Request, rows: Rows = ROWS): Answer {
  switch (request.command) {
    case 'status':
      return { ok: true, data: STATUS };
    case 'grants':
      return { ok: true, data: rows.grants };
    case 'bans':
      return { ok: true, data: rows.bans };
    case 'sources':
      return { ok: true, data: rows.sources };
    case 'explain':
      return { ok: true, data: { ...EXPLANATION, source: request.address } };
    case 'grant': {
      if (request.door !== 'ssh') {
        const error = {
          code: 'unknown door',
          message: `there is no door ${request.door}`,
          fix: 'the doors are ssh, web',
        } as const;
        return { ok: false, error };
      }
      const row = {
        door: request.door,
        grantee: request.address,
        source: request.address,
        since: soon(0),
        uses_left: null,
      };
      return {
        ok: true,
        data: {
          ...row,
          until: soon(request.for ?? 30_000),
          reason: request.reason ?? null,
          key: null,
          person: null,
          from: null,
        },
      };
    }
    case 'ban':
      return {
        ok: true,
        data: {
          target: request.address,
          since: soon(0),
          until: soon(request.for ?? 10 * MINUTE),
          count: 1,
          shadow: false,
          from: null,
        },
      };
    case 'revoke':
      return { ok: true, data: { changed: request.address === '198.51.100.7' ? 2 : 0 } };
    case 'unban':
      return { ok: true, data: { changed: 'all' in request ? 7 : 1 } };
    default: {
      const faults = ['nfknock.yaml:3:5: doors.ssh.knok: "knok" is not a known key; did you mean "knock"?'];
      const error = {
        code: 'config',
        message: 'the new configuration is wrong',
        fix: 'the old one stays in force; correct it and reload',
        faults,
      } as const;
      return { ok: false, error };
    }
  }
}

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder that is gone after the test. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'nfknock-cli-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A control server that is closed after the test, and what it was asked. */
export async function cannedDaemon(
  answer: (request: Request) => Answer = (request) => answerOf(request),
  path: string = join(folder(), 'control.sock'),
): Promise<{ path: string; server: ControlServer; asked: Request[] }> {
  const asked: Request[] = [];
  const handle = (request: Request): Answer => {
    asked.push(request);
    return answer(request);
  };
  const server = await openControl({ path, handle });
  onTestFinished(() => server.close());
  return { path, server, asked };
}

/** Runs the compiled program to its end, as this user and group where one is named. */
export async function nfknock(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  user?: number,
): Promise<Ran> {
  const child = start(args, environment, user);
  const read = async (stream: ChildProcess['stdout']): Promise<string> =>
    (await stream?.setEncoding('utf8').toArray())?.join('') ?? '';
  const [out, err, [code]] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

function start(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  user: number | undefined,
): ChildProcess {
  return spawn(process.execPath, [join(built(), 'bin/nfknock.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    ...(user === undefined ? {} : { uid: user, gid: user }),
  });
}
