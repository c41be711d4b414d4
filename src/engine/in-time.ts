import { isMade } from './code.ts';
import type { Knock } from './describe.ts';
import type { Sequence } from './ports.ts';
import type { State } from './state.ts';

/* How a packet's moment stands to an attempt's: too late, too soon, before or after its last knock. */

/**
 * How a packet is looked at. `placed`: it, or its predecessor, came to another member of the fleet, and it may only go on
 * with an attempt. `concluded`: nobody had a use for it, and what it broke when it came is broken. `rest`: the same
 * of one that went on with another attempt.
 */
export const HOW = { judged: 0, placed: 1, concluded: 2, rest: 3 } as const;

export function staleness(
  { attempts }: Pick<State, 'attempts'>,
  slot: number,
  sequence: Sequence,
  now: number,
): 'gap' | 'within' | undefined {
  if (now - attempts.advanced(slot) > sequence.settings.gap.max) return 'gap';
  return now - attempts.begun(slot) > sequence.within ? 'within' : undefined;
}

/** Whether a packet that is concluded may have broken the attempt: it was there, and did not go on by it. */
export function isConcerned({ attempts }: State, knock: Knock, sequence: Sequence, slot: number): boolean {
  if (attempts.begun(slot) > knock.came) return false;
  if (knock.how !== HOW.rest) return true;
  const made = isMade(sequence, attempts.code(slot), attempts.step(slot), knock);
  return !made && sequence.steps.includes(knock.key);
}

/**
 * Whether a packet that stood aside, or came to another member, is the next step by its own moment. Two clocks may tell
 * one pair of knocks the other way round: that is as much as one wrong packet, of which an attempt lets one pass.
 */
export function isNextPlaced(state: State, knock: Knock, sequence: Sequence, slot: number): boolean {
  const { attempts } = state;
  if (sequence.steps[attempts.step(slot)] !== knock.key || isTooFast(state, knock, sequence, slot))
    return false;
  if (knock.came >= attempts.advanced(slot)) return true;
  return attempts.tolerated(slot) <= sequence.settings.tolerate && isWithinSlack(state, knock, slot);
}

/** Whether the clocks leave open that the packet came after the attempt's last knock. */
export function isWithinSlack(state: State, knock: Knock, slot: number): boolean {
  return knock.came >= state.attempts.advanced(slot) - slackOf(state, knock, slot);
}

/** Two packets that came here are in order. */
function slackOf({ attempts }: State, { told, slack }: Knock, slot: number): number {
  return told || attempts.isStray(slot) ? slack : 0;
}

export function isTooFast(state: State, knock: Knock, sequence: Sequence, slot: number): boolean {
  const gap = Math.max(0, knock.now - state.attempts.advanced(slot));
  return knock.stamped && gap < sequence.settings.gap.min;
}
