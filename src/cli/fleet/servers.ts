import type { Config } from '../../policy/config.ts';
import { type NamedServers, NO_SERVERS } from '../../policy/fleet.ts';
import { messageOf } from '../../text/error.ts';
import { caOf } from './engine.ts';

/** What the Sentinels of a configuration name; of one without Sentinels nobody is asked, and the client not loaded. */
export async function namedServers({ fleet }: Config): Promise<NamedServers> {
  if (fleet === null || fleet.engine.kind !== 'sentinels') return NO_SERVERS;
  try {
    const { findServers } = await import('../../fleet/redis-sentinel.ts');
    return await findServers(fleet.engine, caOf(fleet));
  } catch (error) {
    return { hosts: [], silence: messageOf(error) };
  }
}
