import type { MessageKind } from './message.ts';

export type Direction = 'in' | 'out';

export interface MessageCount {
  readonly kind: MessageKind;
  readonly direction: Direction;
  readonly count: number;
}

/** How many messages came and went, by kind. */
export interface Traffic {
  count(direction: Direction, kind: MessageKind): void;
  counts(): readonly MessageCount[];
}

/** What this version tells: there from the start, so that the first message shows in a rate. */
const TOLD: readonly MessageKind[] = [
  ...(['ban', 'grant', 'amnesty', 'used'] as const),
  ...(['knock', 'placed', 'known', 'first', 'decoy', 'struck'] as const),
];

export function createTraffic(): Traffic {
  const all = { in: sums(), out: sums() };

  function sums(): Map<MessageKind, number> {
    return new Map(TOLD.map((kind) => [kind, 0]));
  }

  function countsOf(direction: Direction): readonly MessageCount[] {
    return [...all[direction]].map(([kind, count]) => ({ kind, direction, count }));
  }

  return {
    count(direction, kind) {
      all[direction].set(kind, (all[direction].get(kind) ?? 0) + 1);
    },
    counts: () => [...countsOf('in'), ...countsOf('out')],
  };
}
