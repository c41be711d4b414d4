interface Timed {
  readonly at: number;
}

/**
 * Packets stay in the order in which they were judged, which with several queues is not quite that of their stamps.
 * What was said without a packet follows the packet of its moment, or stands before the first later one.
 */
export function inJudgedOrder<Row extends Timed>(
  judged: readonly Row[],
  said: readonly Row[],
): readonly Row[] {
  const after = new Map(judged.map((row, index) => [row.at, index + 1]));
  const merged: Row[] = [];
  let place = 0;
  for (const event of said) {
    const own = after.get(event.at);
    const later = judged.findIndex((row, index) => index >= place && row.at > event.at);
    const to = Math.max(place, own ?? (later < 0 ? judged.length : later));
    merged.push(...judged.slice(place, to), event);
    place = to;
  }
  return [...merged, ...judged.slice(place)];
}
