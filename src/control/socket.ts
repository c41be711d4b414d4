import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { guarded } from '../guard/guard.ts';
import { ControlError, SOCKET_PATH_BYTES_MAX } from './error.ts';

/** The group whose members may use the socket. */
export const CONTROL_GROUP = 'nfknock';
/** How long a daemon that may still be there has to take a connection, in milliseconds. */
const PROBE_TIMEOUT = 1000;

/**
 * Makes the path free for a new socket: its folder is made, and what a dead daemon left is taken away.
 * Throws ControlError where a living one listens or something else stands there.
 */
export async function clearPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    const fix = `give \`control\` a path of at most ${SOCKET_PATH_BYTES_MAX} bytes`;
    throw new ControlError(['listen', 'bad path'], `${path} is too long for a Unix socket`, fix);
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there === undefined) return;
    if (!there.isSocket()) {
      throw new ControlError(
        ['listen', 'bad path'],
        `${path} is no socket`,
        'move it away, or give `control` another path',
      );
    }
    if (await answers(path)) {
      const fix = 'stop it, or give this one its own `control` path';
      throw new ControlError(['listen', 'in use'], `another nfknock listens on ${path}`, fix);
    }
    unlinkSync(path);
  } catch (error) {
    if (error instanceof ControlError) throw error;
    throw listenError(path, error);
  }
}

/** Listens without an instant at which others than the owner could connect. Throws ControlError. */
export function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once(
      'error',
      guarded('control', (error) => reject(listenError(path, error))),
    );
    server.once('listening', resolve);
    // The socket is bound within the call, so the mask is nobody else's for longer than that.
    const mask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(mask);
    }
  });
}

/** Lets the group in. Answers with what an owner should know where that could not be done; null: it was. */
export function admit(path: string, group: string): string | null {
  const id = groupId(group);
  const alone = `only root and the daemon's own user and group can use ${path}`;
  let notice: string | null = null;
  try {
    if (id === undefined) {
      notice = `there is no group ${group}: ${alone}; make it with "groupadd --system ${group}" and restart`;
    } else {
      chownSync(path, -1, id);
    }
  } catch (error) {
    notice = `${path} can't be given to the group ${group} (${codeOf(error)}): ${alone}; run the daemon in that group`;
  }
  chmodSync(path, 0o660);
  return notice;
}

/** The group's number as `/etc/group` has it. */
function groupId(name: string): number | undefined {
  try {
    const line = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((each) => each.startsWith(`${name}:`));
    const id = Number(line?.split(':')[2] || Number.NaN);
    return Number.isInteger(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/** Whether somebody takes connections there. A full backlog counts: anyone who has one is alive. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const done = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(PROBE_TIMEOUT, () => done(true));
    socket.once(
      'connect',
      guarded('control', () => done(true)),
    );
    socket.once(
      'error',
      guarded('control', (error) => {
        const code = codeOf(error);
        if (code === 'ECONNREFUSED' || code === 'ENOENT') done(false);
        else if (code === 'EAGAIN') done(true);
        else reject(error);
      }),
    );
  });
}

function listenError(path: string, error: unknown): ControlError {
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const fix = `give the daemon's user write access to ${dirname(path)}`;
    return new ControlError(['listen', 'not permitted'], `${path} can't be made (${code})`, fix, {
      cause: error,
    });
  }
  const fix = 'look after the folder, or give `control` another path';
  return new ControlError(['listen', 'failed'], `${path} can't be listened on (${code})`, fix, {
    cause: error,
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
