import type { ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { guarded } from '../../guard/guard.ts';
import type { Family } from '../../packet/address.ts';
import { startProcess } from '../../process/start.ts';
import { oneLine } from '../../text/plain.ts';
import { FirewallError } from '../firewall.ts';

/** Where the tools are looked for; `PATH` is whatever the caller had, and is not asked. */
const DIRECTORIES: readonly string[] = ['/usr/sbin', '/sbin'];
/** A tool that has not ended by then is ended: a lock of the tables is waited for this long at most. */
const COMMAND_MS_MAX = 20_000;
/** How long the output of a tool that has ended is waited for, in milliseconds: it is in the pipe already. */
const OUTPUT_GRACE = 1_000;
/** What a tool prints at most, in bytes: 100,000 rules and more. */
const OUTPUT_BYTES_MAX: number = 64 * 1024 * 1024;
/** Characters of a tool's complaint that are passed on. */
const COMPLAINT_CHARACTERS_MAX = 300;

/** Seconds that the tools wait for each other's lock of the tables (iptables-legacy has one). */
export const LOCK_SECONDS = 5;

export type Tool = 'iptables' | 'iptables-restore' | 'iptables-save' | 'iptables-legacy-save';

export interface Ran {
  readonly status: number;
  readonly output: string;
  readonly complaint: string;
}

/** The tool's name for a family: `ip6tables-save`. */
export function toolName(tool: Tool, family: Family): string {
  return family === 4 ? tool : tool.replace('iptables', 'ip6tables');
}

/** The absolute path of a tool; undefined where it is not installed. */
export function findTool(name: string, directories: readonly string[] = DIRECTORIES): string | undefined {
  for (const directory of directories) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Looked for in the next one.
    }
  }
  return undefined;
}

export function requireTool(tool: Tool, family: Family, directories?: readonly string[]): string {
  const name = toolName(tool, family);
  const path = findTool(name, directories);
  if (path === undefined) {
    throw new FirewallError(`run ${name}`, 'MISSING', 'install it: apt-get install iptables');
  }
  return path;
}

/** The environment of every tool: what it says is then always in the same words. */
export const TOOL_ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
};

/**
 * Runs a tool to its end, with no shell. Rejects with a FirewallError where it can't be run at all. What it leaves behind
 * (a modprobe that does not come back) may hold its output open: nobody waits for that, nor for what can't be ended.
 */
export function runTool(path: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = startProcess(
      path,
      args,
      { stdin: 'pipe', output: 'pipe', group: 'ours', env: TOOL_ENVIRONMENT },
      (error) => reject(spawnError(path, error)),
    );
    if (child === undefined) return;
    const output: Buffer[] = [];
    const complaint: Buffer[] = [];
    let bytes = 0;
    let grace: NodeJS.Timeout | undefined;
    const end = (status: number | null): void => {
      clearTimeout(timer);
      clearTimeout(grace);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({
        status: status ?? -1,
        output: Buffer.concat(output).toString(),
        complaint: Buffer.concat(complaint).toString(),
      });
    };
    const endSoon = (status: number | null): void => {
      clearTimeout(grace);
      grace = setTimeout(
        // What is in the pipe already is read first, however long this process has stood still.
        guarded('firewall', () => void setImmediate(guarded('firewall', () => end(status)))),
        OUTPUT_GRACE,
      );
    };
    const timer = setTimeout(
      guarded('firewall', () => {
        child.kill('SIGKILL');
        endSoon(null);
      }),
      COMMAND_MS_MAX,
    );
    child.stdout?.on(
      'data',
      guarded('firewall', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > OUTPUT_BYTES_MAX) child.kill('SIGKILL');
        else output.push(chunk);
      }),
    );
    child.stderr?.on(
      'data',
      guarded('firewall', (chunk: Buffer) => complaint.push(chunk)),
    );
    // A tool that ends before it has read everything says why on its own.
    child.stdin?.on('error', () => {});
    child.on('exit', guarded('firewall', endSoon));
    child.on('close', guarded('firewall', end));
    child.stdin?.end(input);
  });
}

/** Runs a tool that must succeed, and gives back what it printed. */
export async function runRequired(path: string, args: readonly string[], input = ''): Promise<string> {
  const ran = await runTool(path, args, input);
  if (ran.status === 0) return ran.output;
  throw refused(path, ran.status, ran.complaint);
}

/** A tool's exit status and words as an error. */
export function refused(path: string, status: number, complaint: string): FirewallError {
  const words = oneLine(complaint).slice(0, COMPLAINT_CHARACTERS_MAX);
  const fix = words === '' ? 'it said nothing; run it by hand to see' : words;
  return new FirewallError(`run ${path}`, `EXIT_${status}`, fix);
}

export function spawnError(path: string, error: Error): FirewallError {
  const code = 'code' in error ? String(error.code) : 'UNKNOWN';
  const fix =
    code === 'ENOENT' ? 'install it: apt-get install iptables' : 'free processes, file descriptors or memory';
  return new FirewallError(`run ${path}`, code, fix, { cause: error });
}

/** Ends a child for good and waits until it is gone. */
export function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once(
      'exit',
      guarded('firewall', () => resolve()),
    );
    child.kill('SIGKILL');
  });
}
