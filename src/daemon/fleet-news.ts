import type { DaemonEvent } from '../engine/event.ts';
import type { FleetNews } from '../fleet/host.ts';
import type { Milliseconds } from '../packet/time.ts';

/** What the fleet's life is announced as. */
export function newsEvent(
  news: Exclude<FleetNews, { readonly news: 'twin' }>,
  at: Milliseconds,
): DaemonEvent {
  switch (news.news) {
    case 'joined':
      return { event: 'fleet.joined', at, members: news.members };
    case 'apart':
      return { event: 'fleet.apart', at, reason: news.reason };
    case 'member':
      return { event: 'fleet.member', at, member: news.member, reason: news.reason };
    case 'refused':
      return { event: 'fleet.refused', at, member: news.member, reason: news.reason, count: news.count };
    default:
      return news satisfies never;
  }
}

/** For the log, and for `status`. */
export function twinWords(name: string): string {
  return `another machine is ${name} in this fleet, too: the two don't hear each other, and each writes over what the other has said`;
}
