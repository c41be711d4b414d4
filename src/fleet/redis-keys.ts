import { isMemberName } from '../policy/fleet.ts';
import type { MarkPlace, RegisterTable } from './bus.ts';

/** How what a group keeps is named in the engine. The access rules (access.ts) are made of the same names. */
export interface Keys {
  /** Set of all members, written by the engine's owner alone. */
  readonly members: string;
  readonly presence: (member: string) => string;
  readonly registers: (member: string, table: RegisterTable) => string;
  readonly stream: (member: string) => string;
  readonly channel: (member: string) => string;
  readonly mark: (place: Pick<MarkPlace, 'of' | 'name'>) => string;
  /** Who speaks on a channel; undefined: nobody of this group. */
  readonly memberOf: (channel: string) => string | undefined;
}

export function keysOf(group: string): Keys {
  const prefix = `nfk:${group}`;
  const channels = `${prefix}:m:`;
  return {
    members: `${prefix}:members`,
    presence: (member) => `${prefix}:who:${member}`,
    registers: (member, table) => `${prefix}:${table === 'bans' ? 'b' : 'g'}:${member}`,
    stream: (member) => `${prefix}:s:${member}`,
    channel: (member) => `${channels}${member}`,
    mark: ({ of, name }) => `${prefix}:${of}:${name}`,
    memberOf(channel) {
      const name = channel.startsWith(channels) ? channel.slice(channels.length) : '';
      return isMemberName(name) ? name : undefined;
    },
  };
}
