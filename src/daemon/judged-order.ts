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
  const merged: Row[] = [];
  let next = 0;
  let before = Number.NEGATIVE_INFINITY;
  for (const row of judged) {
    for (let event = said[next]; event !== undefined; event = said[next]) {
      if (event.at >= row.at && (event.at > before || row.at === before)) break;
      merged.push(event);
      next += 1;
    }
    merged.push(row);
    before = row.at;
  }
  return [...merged, ...said.slice(next)];
}
