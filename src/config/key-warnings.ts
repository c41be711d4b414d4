import { takesCode } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import { DOORMAN_PORT } from '../policy/keys-queue.ts';
import type { Key } from '../spa/key.ts';

/** What an owner should know of keys and doors that are sound; the daemon says it at its start, `check` besides. */
export interface KeyWarning {
  readonly code:
    | 'door-without-key'
    | 'sequence-beside-key'
    | 'many-fwknop-keys'
    | 'key-without-door'
    | 'key-unheard'
    | 'key-file-group';
  /** The place in the configuration or the key file. */
  readonly at: string;
  readonly text: string;
  readonly fix: string;
}

/** Above it a stranger's packet costs noticeably more, since fwknop's packet names no key. */
const MANY_FWKNOP_KEYS = 8;

type Parts = Pick<Config, 'listen' | 'doors'>;

export function keyWarnings(config: Parts, keys: readonly Key[]): readonly KeyWarning[] {
  return [...ofDoors(config, keys), ...keys.flatMap((key) => ofKey(config, key)), ...ofPorts(config, keys)];
}

/** In one line. */
export function keyWarningText({ text, fix }: KeyWarning): string {
  return `${text}: ${fix}`;
}

/** Credentials of fwknop that a packet at this port may be of, those that were rotated away too. */
export function fwknopKeysAt(keys: readonly Key[], port: number): number {
  return keys
    .filter((key) => key.port === null || key.port === port)
    .flatMap(({ credential, previous }) => [credential, ...(previous === null ? [] : [previous.credential])])
    .filter(({ kind }) => kind === 'fwknop').length;
}

function ofDoors({ doors }: Parts, keys: readonly Key[]): readonly KeyWarning[] {
  const named = new Set(keys.flatMap((key) => key.doors));
  return doors.flatMap((door): readonly KeyWarning[] => {
    const { name, knock } = door;
    if (takesCode(door)) return ofCodeDoor(name, keys);
    const alone = !('oneTime' in knock) && knock.length === 0;
    if (alone && !named.has(name)) {
      const text = `door ${name} opens by key alone, and no key names it`;
      const fix = `make one: nfknock key new NAME --door ${name}`;
      return [{ code: 'door-without-key', at: `doors.${name}`, text, fix }];
    }
    if (alone || 'oneTime' in knock || !named.has(name)) return [];
    const text = `door ${name} has a sequence beside keys, and anyone who reads the sequence can repeat it`;
    return [{ code: 'sequence-beside-key', at: `doors.${name}.knock`, text, fix: 'write "knock: spa"' }];
  });
}

function ofCodeDoor(name: string, keys: readonly Key[]): readonly KeyWarning[] {
  if (keys.some(({ credential, doors }) => credential.kind === 'totp' && doors.includes(name))) return [];
  const text = `door ${name} opens by a code, and no key of kind totp names it`;
  const fix = `make one: nfknock key new NAME --totp --door ${name}`;
  return [{ code: 'door-without-key', at: `doors.${name}`, text, fix }];
}

function ofKey({ doors, listen }: Parts, key: Key): readonly KeyWarning[] {
  const ports: readonly number[] = listen.spa;
  const at = `keys.${key.name}`;
  const gone = key.doors.filter((door) => !doors.some(({ name }) => name === door));
  const unheard = (text: string, fix: string): KeyWarning => ({ code: 'key-unheard', at, text, fix });
  return [
    ...gone.map((door): KeyWarning => {
      const fix = 'correct its "doors", or add the door';
      return { code: 'key-without-door', at, text: `${at}: there is no door ${door}`, fix };
    }),
    ...(key.port !== null && !ports.includes(key.port)
      ? [unheard(`${at}: ${key.port}/udp is not in listen.spa, so nobody hears it`, 'add the port there')]
      : []),
    ...doors
      .filter((door) => key.credential.kind === 'totp' && key.doors.includes(door.name) && !takesCode(door))
      .map(({ name }) =>
        unheard(
          `${at}: door ${name} takes no code`,
          `write "?" for its digits into doors.${name}.knock, or make a key of another kind`,
        ),
      ),
    ...(key.credential.kind !== 'totp' && listen.spa.length === 0
      ? [unheard(`${at}: no port takes its packets`, 'name one in listen.spa')]
      : []),
    ...(key.credential.kind === 'doorman' && !ports.includes(DOORMAN_PORT)
      ? [
          unheard(
            `${at}: doorman's packets come to ${DOORMAN_PORT}/udp, which is not in listen.spa`,
            'add it',
          ),
        ]
      : []),
  ];
}

function ofPorts({ listen }: Parts, keys: readonly Key[]): readonly KeyWarning[] {
  return listen.spa.flatMap((port): readonly KeyWarning[] => {
    const count = fwknopKeysAt(keys, port);
    if (count <= MANY_FWKNOP_KEYS) return [];
    const text = `${count} fwknop keys at ${port}/udp: a stranger's packet costs ${count} MACs`;
    const fix = 'give groups ports of their own ("port" of a key)';
    return [{ code: 'many-fwknop-keys', at: 'listen.spa', text, fix }];
  });
}
