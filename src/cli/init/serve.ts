import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../control/client.ts';
import { installedUnit } from '../../doctor/unit.ts';
import { startProcess } from '../../process/start.ts';
import { enableUnit, hasSystemd, startUnit } from '../../rollback/systemd.ts';
import { messageOf } from '../../text/error.ts';
import { failure } from '../failure.ts';

/** A daemon that does not serve by then will not. Milliseconds. */
const READY_MS_MAX = 30_000;
const LOOK_EVERY = 200;
const ANSWER_MS_MAX = 2_000;

/** True where systemd runs this machine and the package's unit is there. */
export function hasUnit(): boolean {
  return hasSystemd() && installedUnit() !== undefined;
}

/** Starts the daemon: its unit where there is one, else a process of its own. Rejects with CommandFailure. */
export async function startServing(config: string, control: string, stop: AbortSignal): Promise<void> {
  if (hasUnit()) {
    const { status, complaint } = await startUnit();
    if (status !== 0)
      throw failure(`systemctl start nfknock failed (${complaint.trim()}): see journalctl -u nfknock`);
  } else await detach(config, control, stop);
}

/** Has the daemon started at each boot. False: there is no systemd here to do it. */
export async function startAtBoot(): Promise<boolean> {
  if (!hasUnit()) return false;
  const { status, complaint } = await enableUnit();
  if (status !== 0)
    throw failure(
      `it is in force, but systemctl enable nfknock failed (${complaint.trim()}): until you run that by hand nobody is let in after a reboot`,
    );
  return true;
}

export async function isServing(control: string): Promise<boolean> {
  try {
    await ask(control, { command: 'status' }, ANSWER_MS_MAX);
    return true;
  } catch {
    return false;
  }
}

async function detach(config: string, control: string, stop: AbortSignal): Promise<void> {
  const program = realpathSync(process.argv[1] ?? '');
  const run = `nfknock run -c ${config}`;
  let ended: string | undefined;
  const child = startProcess(
    process.execPath,
    [program, 'run', '-c', config],
    { stdin: 'ignore', output: 'ignore', group: 'own', cwd: '/' },
    (error) => {
      ended = messageOf(error);
    },
  );
  child?.on('exit', (code) => {
    ended = `it ended with ${code}`;
  });
  for (let waited = 0; waited < READY_MS_MAX; waited += LOOK_EVERY) {
    stop.throwIfAborted();
    if (ended !== undefined) break;
    if (await isServing(control)) {
      child?.unref();
      return;
    }
    await sleep(LOOK_EVERY);
  }
  if (child?.pid !== undefined && ended === undefined) child.kill('SIGTERM');
  throw failure(`the daemon does not serve (${ended ?? 'it gives no answer'}): "${run}" says why`);
}
