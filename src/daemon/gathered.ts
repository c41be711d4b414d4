import { guarded } from '../guard/guard.ts';

/** Used packets can be sent again by anybody, as fast as he likes: what is said of many is carried out as one. */
export function gathered(carryOut: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setImmediate(
      guarded('keys', () => {
        waiting = false;
        carryOut();
      }),
    );
  };
}
