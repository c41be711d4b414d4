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
    for (let row = judged[place]; row !== undefined; row = judged[place]) {
      if (own === undefined ? row.at > event.at : place >= own) break;
      merged.push(row);
      place += 1;
    }
    merged.push(event);
  }
  return [...merged, ...judged.slice(place)];
}
