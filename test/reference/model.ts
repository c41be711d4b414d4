import type { Order } from '../../src/engine/order.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { networkText } from './address.ts';
import { closedEvent, withoutIdleClosing } from './grant.ts';
import { followOrder } from './order.ts';
import type { RefPacket } from './packet.ts';
import { judgePacket } from './packet-rules.ts';
import { type EventLike, initialState, lacking, type Result, type State } from './state.ts';

/** The reference: what the engine must say, with no bound on its memory. */
export interface Model {
  judge(packet: RefPacket, now: number): readonly EventLike[];
  order(order: Order, now: number): readonly EventLike[];
  expire(now: number): readonly EventLike[];
  state(): State;
}

export function createModel(settings: EngineSettings): Model {
  let state = initialState(settings);
  const take = (result: Result): readonly EventLike[] => {
    state = withoutIdleClosing(result.state);
    return result.events;
  };
  return {
    judge: (packet, now) => take(judgePacket(state, packet, now)),
    order: (order, now) => take(followOrder(state, order, now)),
    expire: (now) => take(endOverdue(state, now)),
    state: () => state,
  };
}

/** Ends every grant and ban whose time has come, said in the order of their ends. */
export function endOverdue(state: State, now: number): Result {
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
