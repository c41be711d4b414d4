import { findTool, runTool } from '../firewall/iptables/command.ts';
import { discard, type Place, readIfThere, writeDurably } from './place.ts';

/** Why, where the time was over. deploy/boot-rules says the same. */
export const UNCONFIRMED = 'nobody has confirmed it in time';

/** How a change that nobody confirmed ended. Moments are wall time, in milliseconds since 1970. */
export interface Ended {
  readonly at: number;
  readonly since: number;
  readonly why: string;
  readonly faults: readonly string[];
}

/** It is told later. What has no room for that is done all the same, and is not to be done again. */
export function noteEnd(place: Place, ended: Ended): void {
  const note = (): void => writeDurably(place.ended, JSON.stringify(ended));
  try {
    note();
    discard(place.undoing);
  } catch {
    discard(place.undoing);
    try {
      note();
    } catch {
      // The log has it.
    }
  }
}

/** How the last change that was rolled back ended; undefined: none was, or it was told already. */
export function lastEnd(place: Place): Ended | undefined {
  const text = readIfThere(place.ended);
  return text === undefined ? undefined : (JSON.parse(text) as Ended);
}

/** The same of the change that began then. */
export function endOf({ since }: { readonly since: number }, place: Place): Ended | undefined {
  const ended = lastEnd(place);
  return ended?.since === since ? ended : undefined;
}

export function sentence({ at, since, why, faults }: Ended): string {
  const moment = (time: number): string => new Date(time).toISOString().slice(0, 19);
  const begun = `the change of ${moment(since)}Z was rolled back at ${moment(at)}Z: ${why}`;
  return faults.length === 0 ? begun : `${begun}; not all of it could be: ${faults.join('; ')}`;
}

/** For who looks later, and for who was shut out meanwhile. */
export async function log(text: string): Promise<void> {
  const logger = findTool('logger', ['/usr/bin', '/bin']);
  if (logger !== undefined) await runTool(logger, ['-t', 'nfknock', '-p', 'daemon.warning', '--', text]);
}
