/**
 * Goes through a table that may hold a million a few rows at a time, and begins anew after its end. Answers with the next
 * rows, at most so many: fewer where the round ends.
 */
export function createRounds<Row>(begin: () => Iterator<Row>): (most: number) => Iterable<Row> {
  let round = begin();
  return function* next(most) {
    for (let looked = 0; looked < most; looked += 1) {
      const { done, value } = round.next();
      if (done === true) {
        round = begin();
        return;
      }
      yield value;
    }
  };
}
