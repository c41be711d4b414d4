import { createHash } from 'node:crypto';
import { keysOf } from './redis-keys.ts';

/** A member as the engine knows it: of its password only what the engine compares. */
export interface MemberAccess {
  readonly name: string;
  readonly group: string;
  readonly password: string;
}

/**
 * The engine's commands that let a member write its own keys and speak on its own channel, read those of all, and set
 * marks that nobody can change or remove. The last one is for Redis 7.2, Valkey 8 and later, which alone know its word.
 */
export function accessCommands({ name, group, password }: MemberAccess): readonly string[] {
  const keys = keysOf(group);
  const own = {
    bans: keys.registers(name, 'bans'),
    grants: keys.registers(name, 'grants'),
    stream: keys.stream(name),
    presence: keys.presence(name),
  };
  const all = {
    bans: keys.registers('*', 'bans'),
    grants: keys.registers('*', 'grants'),
    stream: keys.stream('*'),
    presence: keys.presence('*'),
    channels: keys.channel('*'),
  };
  const used = keys.mark({ of: 'used', name: '*' });
  const spa = keys.mark({ of: 'spa', name: '*' });
  const code = keys.mark({ of: 'code', name: '*' });
  const rules = [
    `reset on #${createHash('sha256').update(password).digest('hex')} resetchannels -@all`,
    '+ping +hello +auth +info +time +wait +multi +exec +discard +client|setname',
    // Where the engine's owner lets new users hear everything, parts of their rights would too.
    `(resetchannels +publish &${keys.channel(name)})`,
    `(resetchannels +psubscribe +punsubscribe &${all.channels})`,
    `(%W~${own.stream} +xadd +xtrim)`,
    `(%R~${all.stream} +xrange +xrevrange)`,
    `(%W~${own.bans} %W~${own.grants} +hset +hdel)`,
    `(%R~${all.bans} %R~${all.grants} +hscan +hlen)`,
    `(~${used} ~${spa} ~${code} +hsetnx +hget +hscan)`,
    `(~${spa} ~${code} +expire)`,
    `(%W~${own.presence} +set)`,
    `(%R~${all.presence} +mget)`,
    `(%R~${keys.members} +smembers)`,
  ];
  return [
    `ACL SETUSER ${name} ${rules.join(' ')}`,
    `SADD ${keys.members} ${name}`,
    `ACL SETUSER ${name} +waitaof`,
  ];
}
