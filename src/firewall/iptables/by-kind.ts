import { type Change, FirewallError } from '../firewall.ts';

/** What another attempt could fix: not a full set, not a lack of permission. */
const FINAL: readonly string[] = ['FULL', 'NOT_PERMITTED', 'MISSING', 'CLOSED'];

/** Tries once more after fixing: someone may have taken our chains away, or ended our child. */
export async function twice(
  attempt: () => Promise<void>,
  fix: (error: FirewallError) => Promise<void>,
): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    if (!(error instanceof FirewallError) || FINAL.includes(error.code)) throw error;
    await fix(error);
    await attempt();
  }
}

/** Each kind of change goes its own way, and waits for no other. */
export function byKind(
  changes: readonly Change[],
): readonly [doors: readonly Change[], bans: readonly Change[], cuts: readonly Change[]] {
  const laneOf = ({ change }: Change): 'door' | 'ban' | 'cut' =>
    change === 'open' || change === 'close' ? 'door' : change === 'cut' ? 'cut' : 'ban';
  const of = (name: 'door' | 'ban' | 'cut'): readonly Change[] =>
    changes.filter((change) => laneOf(change) === name);
  return [of('door'), of('ban'), of('cut')];
}

/** Of several that were each carried to its end. */
export function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const each of results) if (each.status === 'rejected') throw each.reason;
}
