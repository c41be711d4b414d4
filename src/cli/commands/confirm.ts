import { createInterface } from 'node:readline/promises';
import { systemClock } from '../../clock.ts';
import { pendingChange } from '../../rollback/change.ts';
import { UNCONFIRMED } from '../../rollback/ended.ts';
import { confirmChange, noticeOf, rollBack, wasUsed } from '../../rollback/rollback.ts';
import { messageOf } from '../../text/error.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { mayChange } from '../may-change.ts';
import { TELLING } from '../patience.ts';

export interface ConfirmOptions extends CommonOptions {
  readonly yes?: boolean;
}

const UNUSED = 'no connection came in through a grant since the change';

/** `nfknock confirm`. */
export async function command(_args: readonly string[], options: ConfirmOptions): Promise<ExitCode> {
  try {
    return await confirm(options);
  } catch (error) {
    return say(messageOf(error), EXIT.failed);
  }
}

/** Keeps a change that waits. Who has not been let in yet may just be about to shut himself out: he is asked. */
export async function confirm({ yes }: ConfirmOptions): Promise<ExitCode> {
  if (!mayChange())
    return say('confirm is not permitted: run it as root, or with CAP_NET_ADMIN', EXIT.notPermitted);
  const now = systemClock.wall();
  const waiting = pendingChange();
  if (waiting === undefined) return say(noticeOf(now) ?? NOTHING, EXIT.failed);
  if (waiting.deadline <= now) {
    await rollBack({ why: UNCONFIRMED, now, id: waiting.id, patience: TELLING });
    return say(noticeOf(now) ?? NOTHING, EXIT.failed);
  }
  const used = await wasUsed();
  if (!used && yes !== true && !(await asked()))
    return say(`not confirmed: ${UNUSED}; knock and connect first, or say --yes`, EXIT.failed);
  if (!(await confirmChange())) return say(noticeOf(systemClock.wall()) ?? NOTHING, EXIT.failed);
  const how = used ? 'a connection came in through a grant since the change' : UNUSED;
  process.stdout.write(`confirmed: ${how}\n`);
  return EXIT.done;
}

const NOTHING =
  'nothing is pending: no change was made with --confirm, or it was confirmed or rolled back already; `nfknock rules install --confirm 60s` makes one';

async function asked(): Promise<boolean> {
  if (process.stdin.isTTY !== true) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${UNUSED}: keep it all the same? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

function say(text: string, code: ExitCode): ExitCode {
  process.stderr.write(`nfknock: ${text}\n`);
  return code;
}
