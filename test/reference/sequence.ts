import type { EventLike } from './state.ts';

/** Of two events said of one moment, the first must come before the second. */
interface Precedence {
  readonly before: (event: EventLike) => boolean;
  readonly after: (event: EventLike) => boolean;
  readonly law: string;
}

const is =
  (name: string, reason?: string) =>
  (event: EventLike): boolean =>
    event.event === name && (reason === undefined || event.reason === reason);

/** Each of events about the same door, or about none. */
const LAWS: readonly Precedence[] = [
  {
    before: is('door.closed', 'moved'),
    after: is('door.opened'),
    law: 'who moves out goes before the next comes in',
  },
  { before: is('ban.lifted', 'limit'), after: is('ban.added'), law: 'room for a ban is made before the ban' },
];

/** Complaints about the order in which the events of one input were said; none where all is well. */
export function disorder(events: readonly EventLike[]): readonly string[] {
  const complaints: string[] = [];
  for (const [index, event] of events.entries()) {
    const earlier = events.slice(0, index);
    for (const { before, after, law } of LAWS) {
      if (before(event) && earlier.some((other) => other.door === event.door && after(other)))
        complaints.push(`out of order: ${law}`);
    }
    if (!event.event.startsWith('ban.') && earlier.some(is('ban.added')))
      complaints.push('out of order: an offence is said before its ban');
    if (earlier.some((other) => other.at > event.at))
      complaints.push('out of order: ends are said in the order of their times');
    const opens = event.event === 'knock.accepted' && event.step === event.of;
    const announced = (other: EventLike): boolean =>
      other.event.startsWith('door.') && other.door === event.door;
    if (opens && earlier.some(announced))
      complaints.push('out of order: the last knock is said before its door');
  }
  return complaints;
}
