/** Sources of which something is remembered for a while; where they are too many, the oldest are forgotten. */
export interface Lately {
  /** Counts this source once more; answers how often it has been, within its time. */
  count(source: string, now: number): number;
  has(source: string, now: number): boolean;
}

const SOURCES_MAX = 16_384;

export function createLately(within: () => number): Lately {
  const sources = new Map<string, { readonly since: number; count: number }>();

  function find(source: string, now: number): { readonly since: number; count: number } | undefined {
    const there = sources.get(source);
    if (there === undefined || now - there.since <= within()) return there;
    sources.delete(source);
    return undefined;
  }

  return {
    count(source, now) {
      const there = find(source, now);
      if (there !== undefined) {
        there.count += 1;
        return there.count;
      }
      sources.set(source, { since: now, count: 1 });
      if (sources.size > SOURCES_MAX) sources.delete(sources.keys().next().value ?? source);
      return 1;
    },
    has: (source, now) => find(source, now) !== undefined,
  };
}
