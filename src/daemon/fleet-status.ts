import type { FleetRow, Problem } from '../control/status.ts';
import { AHEAD_MAX } from '../fleet/offset.ts';
import type { MemberState } from '../fleet/peers.ts';
import type { FleetReading } from '../metrics/fleet.ts';
import { engineText } from '../policy/fleet.ts';
import type { Core } from './dependencies.ts';
import { twinWords } from './fleet-news.ts';
import { LATELY } from './recent-count.ts';

/** This machine's part in the fleet, as people and `--json` have it. */
export function fleetRow({ life, clock, config }: Core): FleetRow | null {
  const fleet = config().fleet;
  if (life === undefined || fleet === null) return null;
  const { up, since, offset, outbox, parked, claims, refused, shed, members } = life.status();
  const moment = (at: number): string => new Date(clock.wall() - (clock.now() - at)).toISOString();
  return {
    ...{ name: fleet.name, engine: engineText(fleet.engine), up, since: moment(since) },
    // The bus's clock and this machine's: how far the second is ahead.
    offset: aheadOf(offset - (clock.wall() - clock.now())),
    ...{ outbox, parked, claims, refused: sumOf(refused), shed },
    members: [...members].sort(byName).map(({ member, presence, silent }) => ({
      ...{ name: member, version: presence?.version ?? null },
      seen: Number.isFinite(silent) ? moment(clock.now() - silent) : null,
      lag: Number.isFinite(silent) ? Math.round(silent) : null,
      offset: presence === null ? null : aheadOf(presence.offset),
      ...{ bans: presence?.bans ?? 0, grants: presence?.grants ?? 0 },
      differs: life.differs(presence?.doors ?? {}),
    })),
  };
}

/** How far a clock is ahead of the bus's, in whole milliseconds, by what has to be added to it. */
function aheadOf(offset: number): number {
  return 0 - Math.round(offset);
}

function byName(one: MemberState, other: MemberState): number {
  return one.member < other.member ? -1 : 1;
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** The same in numbers; null: this machine is alone. */
export function fleetReading({ life, clock }: Core): FleetReading | null {
  if (life === undefined) return null;
  const { up, offset, outbox, parked, claims, refused, leftOut, messages, members } = life.status();
  const reasons = new Map<string, number>(refused);
  for (const [why, count] of leftOut) if (why !== 'over') reasons.set(why, (reasons.get(why) ?? 0) + count);
  return {
    ...{ up, messages, outbox, parked, claims, refused: Object.fromEntries(reasons) },
    members: 1 + members.filter(({ isLost }) => !isLost).length,
    offset: (clock.wall() - clock.now() - offset) / 1000,
  };
}

/** What keeps this machine from its fleet, or another from it, in words. */
export function fleetProblems(core: Core): readonly Problem[] {
  const { life, config } = core;
  const fleet = config().fleet;
  if (life === undefined || fleet === null) return [];
  const { up, since, reason, refusal, shut, hasTwin, members } = life.status();
  const problems: Problem[] = [];
  if (!up) problems.push(apart(reason ?? 'it does not answer', since, core));
  else if (refusal !== null) problems.push(refused(refusal, fleet.name));
  // What stayed shut while the engine was away was said then.
  else if (shut !== null && shut.at >= since && core.clock.now() - shut.at < LATELY)
    problems.push({
      what: `what opens once opened nothing in the last minute: ${shut.reason}`,
      fix: 'knock the next line, or send another packet; `nfknock fleet check` tries the engine, its disk and its replicas',
    });
  if (hasTwin)
    problems.push({
      what: twinWords(fleet.name),
      fix: 'give one of them a fleet.name and a password of its own: `nfknock fleet users NAME` prints what the engine is to know',
    });
  for (const { member, presence, bans } of members) {
    const off = Math.abs(presence?.offset ?? 0);
    if (off > AHEAD_MAX)
      problems.push({
        what: `${member}'s clock is ${Math.round(off / 1000)} s off the engine's`,
        fix: `start systemd-timesyncd or chrony at ${member}`,
      });
    const differs = life.differs(presence?.doors ?? {});
    if (differs.length > 0)
      problems.push({
        what: `door ${differs.join(', ')} is defined otherwise at ${member}: grants are taken with this machine's ports and times`,
        fix: 'give all members the same doors',
      });
    if (bans >= fleet.accept.each.bans)
      problems.push({
        what: `${member} has told ${bans} bans: more are not taken`,
        fix: `see what ${member} bans; or raise fleet.accept.each.bans`,
      });
  }
  return problems;
}

/** Redis refuses by a word in capitals: then it is there, and this member's rights are not what they should be. */
function apart(reason: string, since: number, { clock, config }: Core): Problem {
  const name = config().fleet?.name ?? '';
  if (RIGHTS.test(reason)) return refused(reason, name);
  const at = new Date(clock.wall() - (clock.now() - since)).toISOString().slice(11, 16);
  return {
    what: `the fleet's engine does not answer since ${at}: ${reason}`,
    fix: 'doors and bans go on here; one-time doors stay shut; start it',
  };
}

const RIGHTS = /\b(NOPERM|WRONGPASS|NOAUTH)\b/;

function refused(reason: string, name: string): Problem {
  return {
    what: `the fleet's engine refuses ${name} (${reason})`,
    fix: RIGHTS.test(reason)
      ? `load what \`nfknock fleet users ${name}\` prints`
      : 'see `nfknock fleet check`, and the log of the engine',
  };
}
