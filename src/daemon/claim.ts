import { guarded, owned } from '../guard/guard.ts';
import type { Claim } from '../spa/used-once.ts';

/** Claims under way at once; and how long one may take, in milliseconds: who knocks waits no longer. */
const CLAIMS_MAX = 1024;
const CLAIM_MS_MAX = 3000;

/** Claims whose answer others may have to be asked for: each comes to one end, and in time. */
export interface Claims {
  begin(claim: () => Promise<Claim>, ended: (claim: Claim) => void): void;
  /** Resolves once all that were begun have ended. */
  drained(): Promise<void>;
}

const UNAVAILABLE: Claim = { outcome: 'unavailable', by: null };

export function createClaims(): Claims {
  const under = new Set<Promise<void>>();
  return {
    begin(claim, ended) {
      if (under.size >= CLAIMS_MAX) {
        ended(UNAVAILABLE);
        return;
      }
      const one = answered(claim).then(guarded('keys', ended));
      under.add(one);
      owned(
        'keys',
        one.finally(() => under.delete(one)),
      );
    },
    async drained() {
      await Promise.allSettled(under);
    },
  };
}

/** What is answered too late opens nothing: it is used up. */
function answered(claim: () => Promise<Claim>): Promise<Claim> {
  return new Promise((resolve) => {
    const timer = setTimeout(
      guarded('keys', () => resolve(UNAVAILABLE)),
      CLAIM_MS_MAX,
    );
    const asked = new Promise<Claim>((given) => given(claim())).catch(() => UNAVAILABLE);
    owned(
      'keys',
      asked.then((answer) => {
        clearTimeout(timer);
        resolve(answer);
      }),
    );
  });
}
