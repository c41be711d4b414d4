import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './cleanup.ts';
import { type Child, startProcess } from './process.ts';
import { ROOT } from './root.ts';

/* What an attacker needs, and what makes a machine easier to overwhelm: made here for every test. */

/** Builds test/bench/flood.c; answers with the program. It is gone at the end. */
export function buildFlood(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-flood-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'flood');
  execFileSync('cc', ['-O2', '-o', program, join(ROOT, 'test/bench/flood.c')]);
  return program;
}

/** Sets SO_RCVBUFFORCE of another process's netfilter sockets: of all, or of those in a multicast group alone. */
const RESIZE = `
import ctypes, os, socket, sys
process = os.pidfd_open(int(sys.argv[1]))
for name in os.listdir('/proc/%s/fd' % sys.argv[1]):
    fd = ctypes.CDLL(None).syscall(438, process, int(name), 0)
    if fd < 0:
        continue
    try:
        each = socket.socket(fileno=fd)
    except OSError:
        continue
    wanted = each.family == socket.AF_NETLINK and each.proto == 12
    if wanted and (sys.argv[3] == 'all' or each.getsockname()[1] != 0):
        each.setsockopt(socket.SOL_SOCKET, 33, int(sys.argv[2]))
    each.close()
`;

/**
 * Changes the room of the sockets over which the kernel tells a process something, in bytes: with little of it a burst
 * need not be huge to overrun them. `events`: those over which it tells of events.
 */
export function giveRoom(pid: number, bytes: number, sockets: 'all' | 'events'): void {
  execFileSync('python3', ['-c', RESIZE, `${pid}`, `${bytes}`, sockets]);
}

/** What a public service does with a connection: sends back what it gets, or says a word and closes. */
const SERVICES = { echo: 's.pipe(s)', greet: "s.end('x')" } as const;

/** A public service that thousands can connect to at once. */
export function startPublicService(namespace: string, port: number, does: keyof typeof SERVICES): Child {
  const program = `require('net').createServer((s) => { s.on('error', () => {}); ${SERVICES[does]}; }).listen(${port}, '0.0.0.0', 4096)`;
  return startProcess(namespace, [process.execPath, '-e', program]);
}
