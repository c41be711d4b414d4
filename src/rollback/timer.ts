import { realpathSync } from 'node:fs';
import { FirewallError } from '../firewall/firewall.ts';
import { findTool, runTool, TOOL_ENVIRONMENT } from '../firewall/iptables/command.ts';
import { startProcess } from '../process/start.ts';
import { systemdRun } from './systemd.ts';

/** Takes part in the package; rolls back without Node.js, should the program be gone when its time has come. */
const WITHOUT_NODE = '/usr/lib/nfknock/boot-rules';
/** What is passed on: where tests and unusual machines have these files. */
const PASSED_ON: readonly string[] = ['NFKNOCK_ROLLBACK_DIR', 'NFKNOCK_STAND_DOWN_DIR', 'NFKNOCK_CONTROL'];
/**
 * A shell's script, whatever is in the arguments: $1 seconds, $2 what helps where the rest of the arguments fails, with
 * $3 and $4 (empty: none).
 */
const TIMER = `
sleep "$1"
fallback=$2
verb=$3
subject=$4
shift 4
"$@" && exit 0
[ -x "$fallback" ] && exec "$fallback" "$verb" $subject
exit 1
`;

/** What is to be done later. */
export interface Later {
  /** Of the unit, with the id behind it. */
  readonly name: string;
  readonly description: string;
  readonly id: string;
  readonly seconds: number;
  /** Of this program. */
  readonly args: readonly string[];
  /** Of deploy/boot-rules, where that fails. */
  readonly withoutNode: readonly [verb: string, subject?: string];
}

/**
 * Starts what does something later. It outlives the command, its terminal and its session, and under systemd also
 * the unit that started it; what ends it all the same (a power cut) is noticed at boot and by the next command.
 */
export async function startTimer({
  name,
  description,
  id,
  seconds,
  args,
  withoutNode,
}: Later): Promise<void> {
  const shell = findTool('sh', ['/bin', '/usr/bin']);
  if (shell === undefined) {
    throw new FirewallError('start the timer', 'MISSING', 'install a POSIX shell at /bin/sh');
  }
  const [verb, subject = ''] = withoutNode;
  const program = realpathSync(process.argv[1] ?? '');
  const command = [WITHOUT_NODE, verb, subject, process.execPath, program, ...args];
  const systemd = systemdRun();
  if (systemd !== undefined) {
    const line = [
      '--quiet',
      '--collect',
      `--unit=${name}-${id}`,
      `--description=${description}`,
      `--on-active=${seconds}s`,
      '--timer-property=AccuracySec=100ms',
      ...Object.entries(passedOn()).map(([key, value]) => `--setenv=${key}=${value}`),
      ...[shell, '-c', TIMER, name, '0', ...command],
    ];
    if ((await runTool(systemd, line)).status === 0) return;
  }
  await detach(shell, ['-c', TIMER, name, `${seconds}`, ...command]);
}

function passedOn(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    PASSED_ON.flatMap((key) => {
      const value = process.env[key];
      return value === undefined || value === '' ? [] : [[key, value]];
    }),
  );
}

function detach(shell: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    // In a session of its own, so that no hang-up reaches it.
    const env = { ...TOOL_ENVIRONMENT, ...passedOn() };
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
