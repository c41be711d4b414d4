import { existsSync, readlinkSync } from 'node:fs';
import { findTool, type Ran, runTool } from '../firewall/iptables/command.ts';

const UNIT = 'nfknock.service';
const UNITS: readonly string[] = [UNIT, 'nfknock-rules.service', 'nfknock-sets.service'];
const DIRECTORIES: readonly string[] = ['/usr/bin', '/bin'];

/** What systemd had for nfknock when a change began. */
export interface UnitState {
  readonly enabled: boolean;
  readonly active: boolean;
}

/** True where systemd runs this machine, and the change is in the network that it runs. */
export function hasSystemd(): boolean {
  if (!existsSync('/run/systemd/system') || systemctl() === undefined) return false;
  try {
    return readlinkSync('/proc/1/ns/net') === readlinkSync('/proc/self/ns/net');
  } catch {
    return false;
  }
}

export function systemdRun(): string | undefined {
  return hasSystemd() ? findTool('systemd-run', DIRECTORIES) : undefined;
}

/** Undefined where there is no systemd. */
export async function unitState(): Promise<UnitState | undefined> {
  if (!hasSystemd()) return undefined;
  return { enabled: await says('is-enabled', UNIT), active: await says('is-active', UNIT) };
}

/** What was about to be started again by itself is not. */
export async function stopUnit(): Promise<void> {
  if (hasSystemd()) await run(['stop', UNIT]);
}

/** Disabled where it was disabled; running where it ran, with what was confirmed. */
export async function restoreUnit(was: UnitState | undefined): Promise<void> {
  if (was === undefined || !hasSystemd()) return;
  if (!was.enabled) for (const unit of UNITS) await run(['disable', unit]);
  if (was.active) await run(['start', '--no-block', UNIT]);
}

/** Starts the daemon now, and answers how that went. */
export function startUnit(): Promise<Ran> {
  return ran(['start', UNIT]);
}

/** Has the daemon started at each boot, and its rules installed before the network is there. */
export function enableUnit(): Promise<Ran> {
  return ran(['enable', UNIT]);
}

/** Has systemd read its units' files again; done where there is no systemd. */
export async function reloadUnits(): Promise<Ran> {
  return hasSystemd() ? await ran(['daemon-reload']) : { status: 0, output: '', complaint: '' };
}

async function says(question: string, unit: string): Promise<boolean> {
  return (await run([question, '--quiet', unit])) === 0;
}

async function run(args: readonly string[]): Promise<number> {
  return (await ran(args)).status;
}

async function ran(args: readonly string[]): Promise<Ran> {
  const path = systemctl();
  if (path === undefined) return { status: -1, output: '', complaint: 'systemctl is missing' };
  return await runTool(path, args);
}

function systemctl(): string | undefined {
  return findTool('systemctl', DIRECTORIES);
}
