import { formatDuration } from '../config/duration.ts';
import { formatCidr } from '../packet/cidr.ts';
import { formatPortRange } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import { leaks } from './guessing.ts';
import { type Warning, warning } from './warning.ts';

const HOUR = 3_600_000;
const SMALL_TABLE = 1024;
const MANY_STRIKES = 20;

/** What is weak in how strangers are banned. */
export function ofBans(config: Config): Warning[] {
  const { bans } = config;
  const found: Warning[] = [];
  if (!bans.enforce)
    found.push(
      warning(
        'shadow',
        'bans.enforce',
        'nobody is banned: bans are only logged',
        'write true once the log shows no legitimate source',
      ),
    );
  if (leaks(config)) {
    found.push(
      warning(
        'ban-oracle',
        'bans.scope',
        `a ban shows on ${config.allow.map(formatPortRange).slice(0, 4).join(', ')}, so a guesser learns which knock was wrong and needs steps × ports tries, not ports to the power of steps`,
        'write "scope: hidden", which leaves public ports alone',
      ),
    );
  }
  const everyone = bans.never.filter(({ bits }) => bits === 0);
  if (everyone.length > 0)
    found.push(
      warning(
        'never-everyone',
        'bans.never',
        `${everyone.map(formatCidr).join(', ')} is everyone, so nobody is ever banned`,
        'name your own networks',
      ),
    );
  if (bans.strikes === 1)
    found.push(
      warning(
        'one-strike',
        'bans.strikes',
        'one packet bans its source, and packets can be forged in anyone’s name',
        'write 2 or more, and name who must never be banned in bans.never',
      ),
    );
  if (bans.strikes > MANY_STRIKES)
    found.push(
      warning(
        'many-strikes',
        'bans.strikes',
        `${bans.strikes - 1} wrong packets in ${formatDuration(bans.within)} pass without a ban`,
        'write 3',
      ),
    );
  if (bans.escalate === 1 && bans.for < HOUR)
    found.push(
      warning(
        'no-escalation',
        'bans.escalate',
        `a source is banned for ${formatDuration(bans.for)} however often it comes back`,
        'write 2',
      ),
    );
  return found;
}

/** Limits that a flood reaches too soon. */
export function ofLimits({ bans, doors, memory, listen }: Config): Warning[] {
  const found: Warning[] = [];
  const longest = Math.max(0, ...doors.map(({ knock }) => ('oneTime' in knock ? 0 : knock.length)));
  if (bans.rate.packets < longest) {
    found.push(
      warning(
        'rate-below-knock',
        'bans.rate.packets',
        `a sequence of ${longest} knocks sent at once is more than ${bans.rate.packets} packets, so the knocker is struck`,
        `write ${longest} or more`,
      ),
    );
  }
  if (bans.limit < SMALL_TABLE)
    found.push(
      warning(
        'few-bans',
        'bans.limit',
        `more than ${bans.limit} sources that scan at once lift each other's bans`,
        'write 262144',
      ),
    );
  if (memory.sources < SMALL_TABLE)
    found.push(
      warning(
        'small-memory',
        'memory.sources',
        `a flood from more than ${memory.sources} addresses makes the daemon forget who is knocking`,
        'write 262144',
      ),
    );
  if (listen.interfaces.includes('lo'))
    found.push(
      warning(
        'loopback',
        'listen.interfaces',
        "this machine's own packets to itself would be knocks and offences",
        'leave lo out',
      ),
    );
  return found;
}
