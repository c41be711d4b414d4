import type { Command } from '../../src/engine/command.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { networkText } from './address.ts';
import { followCommand, refusal } from './command.ts';
import { closedEvent, notingEnds, withoutIdleClosing } from './grant.ts';
import type { Move } from './move.ts';
import type { RefPacket } from './packet.ts';
import { judgeLate, judgePacket } from './packet-rules.ts';
import { type EventLike, type Grant, initialState, lacking, type Result, type State } from './state.ts';

/** The reference: what the engine must say, with no bound on its memory. */
export interface Model {
  judge(packet: RefPacket, now: number): readonly EventLike[];
  execute(command: Command, now: number): readonly EventLike[];
  expire(now: number): readonly EventLike[];
  state(): State;
}

/** What a move makes of a state: the ends that fall due before it, what it says itself, and the state after it. */
export interface Played {
  readonly state: State;
  readonly ends: readonly EventLike[];
  readonly said: readonly EventLike[];
  /** Why the move's command can not be carried out; empty where it can. */
  readonly refused: readonly string[];
}

export function createModel(settings: EngineSettings): Model {
  let state = initialState(settings);
  const take = (result: Result, endOf: (grant: Grant) => number): readonly EventLike[] => {
    state = notingEnds(state, withoutIdleClosing(result.state), endOf);
    return result.events;
  };
  return {
    judge: (packet, now) => take(judgePacket(state, packet, now), () => now),
    execute: (command, now) => take(followCommand(state, command, now), () => now),
    expire: (now) => take(endOverdue(state, now), ({ until }) => until),
    state: () => state,
  };
}

export function play(before: State, move: Move): Played {
  const ended = endOverdue(before, move.at);
  const state = notingEnds(before, withoutIdleClosing(ended.state), ({ until }) => until);
  const result = judgeMove(state, move);
  const refused = 'command' in move ? refusal(state, move.command) : undefined;
  return {
    state: notingEnds(state, withoutIdleClosing(result.state), () => move.at),
    ends: ended.events,
    said: result.events,
    refused: refused === undefined ? [] : [`refused: ${refused}`],
  };
}

function judgeMove(state: State, move: Move): Result {
  if ('late' in move) return judgeLate(state, move.packet, move.late, move.at);
  if ('packet' in move) return judgePacket(state, move.packet, move.at);
  return 'command' in move ? followCommand(state, move.command, move.at) : { state, events: [] };
}

/** Ends every grant and ban whose time has come, said in the order of their ends. */
function endOverdue(state: State, now: number): Result {
  const closed = state.grants
    .filter((grant) => grant.until <= now)
    .map((grant) => closedEvent(state, grant, grant.until, 'expired'));
  const expired = [...state.bans]
    .filter(([, ban]) => ban.until <= now)
    .map(([target, ban]) => ({ event: 'ban.expired', at: ban.until, target: networkText(target) }));
  if (closed.length === 0 && expired.length === 0) return { state, events: [] };
  const events = [...closed, ...expired].sort((x, y) => x.at - y.at);
  const over = (target: string): boolean =>
    (state.bans.get(target)?.until ?? Number.POSITIVE_INFINITY) <= now;
  return {
    events,
    state: {
      ...state,
      grants: state.grants.filter((grant) => grant.until > now),
      bans: lacking(state.bans, over),
    },
  };
}
