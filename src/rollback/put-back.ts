import { restoreOwnPart } from '../firewall/iptables/own-part.ts';
import { openSets, type Sets } from '../firewall/netlink/ipset.ts';
import { openNetfilter } from '../firewall/netlink/socket.ts';
import { isOwnSet } from '../firewall/rules/names.ts';
import { messageOf } from '../text/error.ts';
import type { Change } from './change.ts';
import { endDaemon } from './end-daemon.ts';
import { forgetInstalled, type Place } from './place.ts';
import { restoreConfiguration } from './restore-configuration.ts';
import { restoreUnit, stopUnit } from './systemd.ts';

/** Puts back what there was before a change, whatever of it fails; answers with what failed. */
export async function putBack(place: Place, change: Change): Promise<readonly string[]> {
  const faults: string[] = [];
  const attempt = async (task: () => Promise<void>): Promise<void> => {
    await task().catch((error: unknown) => void faults.push(messageOf(error)));
  };
  await attempt(async () => {
    const ended = await endDaemon();
    await stopUnit();
    if (!ended && !(await endDaemon()))
      throw new Error('the daemon that runs could not be ended: end it by hand');
  });
  await attempt(() => restoreRules(change));
  if (change.parts.every((part) => part.chains.length === 0)) forgetInstalled();
  await attempt(async () => restoreConfiguration(place, change.configuration));
  await attempt(() => restoreUnit(change.unit));
  return faults;
}

/** The rules and the sets. */
export async function restoreRules(change: Change): Promise<void> {
  await withSets((sets) => restoreParts(change, sets));
}

/** Each family by itself: where one can't be put back the other is all the same. */
async function restoreParts({ parts, sets: before }: Change, sets: Sets): Promise<void> {
  const results = await Promise.allSettled(parts.map((part) => restoreOwnPart(part, sets)));
  const since = (await sets.all()).filter((set) => isOwnSet(set) && !before.includes(set.name));
  for (const { name } of since) await sets.destroy(name);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

export async function withSets<Result>(use: (sets: Sets) => Promise<Result>): Promise<Result> {
  const socket = openNetfilter();
  try {
    return await use(openSets(socket));
  } finally {
    socket.close();
  }
}
