import { readsKeys } from '../policy/codes.ts';
import { type Core, warn } from './dependencies.ts';

/** For the log, once each time that it comes up; `look` is called at the start and each minute. */
export function createClockDoubt(core: Pick<Core, 'trust' | 'config' | 'announcer' | 'clock'>): {
  look(): void;
} {
  let said = false;
  return {
    look() {
      const doubtful = readsKeys(core.config()) && !core.trust.synchronised();
      if (doubtful && !said)
        warn(
          core,
          "this machine's clock is not synchronised: keys and codes of people whose clocks are right may be refused as stale; start systemd-timesyncd or chrony",
        );
      said = doubtful;
    },
  };
}
