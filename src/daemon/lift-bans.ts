import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Command, CommandAnswer } from '../engine/command.ts';
import type { Core } from './dependencies.ts';

/**
 * Bans looked at, or lifted, in one turn of the event loop. Those that are lifted are on the disk and out of the
 * kernel's set, and said, before the next: some 1 ms on a machine that does nothing else. Our choice.
 */
const PIECE = 128;
/** Attempts or bans moved in one turn, after a reload: some 0.5 ms on a machine that does nothing else. Our choice. */
const MOVED = 256;

type Owner = Pick<Core, 'execute' | 'engine' | 'effects'>;

/** Lifts all bans of this machine, in pieces: packets come in between. Of bans that are made meanwhile some may stay. */
export async function unbanAll(core: Owner): Promise<CommandAnswer> {
  const all = core.engine.sizes().bans;
  let changed = 0;
  while (changed < all) {
    const answer = core.execute({ command: 'unban_all', most: Math.min(PIECE, all - changed) }, 'here');
    if (!answer.ok || answer.changed === 0) break;
    changed += answer.changed;
    await core.effects.drained();
    await nextTurn();
  }
  return { ok: true, changed };
}

/**
 * Carries out a command after which some bans must not be any more. It is in force at once; the bans are looked through
 * in pieces afterwards: packets come in between.
 */
export async function executeLifting(
  core: Owner,
  command: Command & { readonly command: 'exempt' | 'reload' },
): Promise<void> {
  await liftOthers(core, core.execute({ ...command, most: PIECE }));
  if (command.command === 'reload') await moveAttempts(core);
}

/** What a reload has left to be moved; a source's own attempts are moved when it sends its next packet. */
async function moveAttempts(core: Owner): Promise<void> {
  for (;;) {
    await nextTurn();
    const answer = core.execute({ command: 'move_attempts', most: MOVED });
    if (!answer.ok) return;
    if (answer.changed > 0) await core.effects.drained();
    if (answer.rest === undefined) return;
  }
}

async function liftOthers(core: Owner, first: CommandAnswer): Promise<void> {
  let answer = first;
  for (;;) {
    if (!answer.ok) return;
    if (answer.changed > 0) await core.effects.drained();
    if (answer.rest === undefined) return;
    await nextTurn();
    answer = core.execute({ command: 'lift_exempt', from: answer.rest, most: PIECE });
  }
}
