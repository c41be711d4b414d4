import { realpathSync } from 'node:fs';
import { FirewallError } from '../firewall/firewall.ts';
import { findTool, runTool, TOOL_ENVIRONMENT } from '../firewall/iptables/command.ts';
import { startProcess } from '../process/start.ts';
import { systemdRun } from './systemd.ts';

/** Takes part in the package; rolls back without Node.js, should the program be gone when its time has come. */
const WITHOUT_NODE = '/usr/lib/nfknock/boot-rules';
/** A shell's script, whatever is in the arguments: $1 seconds, $2 what helps where the rest of the arguments fails. */
const TIMER = `
sleep "$1"
fallback=$2
shift 2
"$@" && exit 0
[ -x "$fallback" ] && exec "$fallback" roll-back
exit 1
`;

/**
 * Starts what rolls back after a time. It outlives the command, its terminal and its session, and under systemd also
 * the unit that started it; what ends it all the same (a power cut) is noticed at boot and by the next command.
 */
export async function startTimer(id: string, folder: string, seconds: number): Promise<void> {
  const shell = findTool('sh', ['/bin', '/usr/bin']);
  if (shell === undefined) {
    throw new FirewallError('start the timer', 'MISSING', 'install a POSIX shell at /bin/sh');
  }
  const program = realpathSync(process.argv[1] ?? '');
  const command = [process.execPath, program, 'rules', 'roll-back', '--change', id];
  const systemd = systemdRun();
  if (systemd !== undefined) {
    const args = [
      '--quiet',
      '--collect',
      `--unit=nfknock-rollback-${id}`,
      `--description=Roll back a change of nfknock that nobody has confirmed`,
      `--on-active=${seconds}s`,
      '--timer-property=AccuracySec=100ms',
      `--setenv=NFKNOCK_ROLLBACK_DIR=${folder}`,
      ...[shell, '-c', TIMER, 'nfknock-rollback', '0', WITHOUT_NODE, ...command],
    ];
    if ((await runTool(systemd, args)).status === 0) return;
  }
  await detach(shell, ['-c', TIMER, 'nfknock-rollback', `${seconds}`, WITHOUT_NODE, ...command], folder);
}

function detach(shell: string, args: readonly string[], folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // In a session of its own, so that no hang-up reaches it.
    const env = { ...TOOL_ENVIRONMENT, NFKNOCK_ROLLBACK_DIR: folder };
    const options = { stdin: 'ignore', output: 'ignore', group: 'own', cwd: '/', env } as const;
    const child = startProcess(shell, args, options, (error) =>
      reject(new FirewallError('start the timer', 'SPAWN', 'free processes or memory', { cause: error })),
    );
    if (child === undefined) return;
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
  });
}
