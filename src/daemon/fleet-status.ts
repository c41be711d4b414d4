import type { FleetRow, Problem } from '../control/status.ts';
import { AHEAD_MAX } from '../fleet/offset.ts';
import type { EngineAddress } from '../policy/fleet.ts';
import type { Core } from './dependencies.ts';

/** This machine's part in the fleet, as people and `--json` have it. */
export function fleetRow({ life, clock, config }: Core): FleetRow | null {
  const fleet = config().fleet;
  if (life === undefined || fleet === null) return null;
  const { up, since, offset, outbox, claims, refused, shed, members } = life.status();
  const moment = (at: number): string => new Date(clock.wall() - (clock.now() - at)).toISOString();
  return {
    ...{ name: fleet.name, engine: engineText(fleet.engine), up, since: moment(since) },
    // The bus's clock and this machine's: how far the second is ahead.
    offset: Math.round(clock.wall() - clock.now() - offset),
    ...{ outbox, parked: 0, claims, refused, shed },
    members: members.map(({ member, presence, silent }) => ({
      ...{ name: member, version: presence?.version ?? null },
      seen: Number.isFinite(silent) ? moment(clock.now() - silent) : null,
      lag: Number.isFinite(silent) ? Math.round(silent) : null,
      ...{ bans: presence?.bans ?? 0, grants: presence?.grants ?? 0 },
      differs: life.differs(presence?.doors ?? {}),
    })),
  };
}

/** What keeps this machine from its fleet, or another from it, in words. */
export function fleetProblems(core: Core): readonly Problem[] {
  const { life, config } = core;
  const fleet = config().fleet;
  if (life === undefined || fleet === null) return [];
  const { up, since, reason, members } = life.status();
  const problems: Problem[] = [];
  if (!up) problems.push(apart(reason ?? 'it does not answer', since, core));
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
  if (/\b(NOPERM|WRONGPASS|NOAUTH)\b/.test(reason))
    return {
      what: `the fleet's engine refuses ${name} (${reason})`,
      fix: `load what \`nfknock fleet users ${name}\` prints`,
    };
  const at = new Date(clock.wall() - (clock.now() - since)).toISOString().slice(11, 16);
  return {
    what: `the fleet's engine does not answer since ${at}: ${reason}`,
    fix: 'doors and bans go on here; one-time doors stay shut; start it',
  };
}

function engineText(engine: EngineAddress): string {
  if (engine.kind === 'socket') return `unix:${engine.path}`;
  const scheme = engine.tls ? 'rediss' : 'redis';
  if (engine.kind === 'server') return `${scheme}://${engine.host}:${engine.port}`;
  return engine.nodes.map(({ host, port }) => `sentinel://${host}:${port}/${engine.master}`).join(', ');
}
