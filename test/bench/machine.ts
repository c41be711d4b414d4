import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

/** On what it was measured, one line each. */
export function machine(loadBefore: number): readonly string[] {
  const [first] = cpus();
  return [
    `${cpus().length} × ${first?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB of memory${isVirtual() ? ', a virtual machine' : ''}`,
    `Linux ${release()}, Node.js ${process.version}, ${version('iptables', '--version')}, ${version('knockd', '--version')}`,
    `load average ${loadBefore.toFixed(2)} before the run, ${(loadavg()[0] ?? 0).toFixed(2)} after it (which holds the run itself)`,
  ];
}

function isVirtual(): boolean {
  return readFileSync('/proc/cpuinfo', 'utf8').includes(' hypervisor');
}

function version(command: string, flag: string): string {
  try {
    return (
      execFileSync(command, [flag], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim()
        .split('\n')[0] ?? command
    );
  } catch {
    return command;
  }
}
