import type { KeyRow } from '../../control/answers.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { Key } from '../../spa/key.ts';
import { keyBits } from '../../strength/weak-keys.ts';
import { messageOf } from '../../text/error.ts';
import { printableJson } from '../../text/plain.ts';
import type { KeyOptions } from '../commands/key.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { isPast, keyLimits, timeText } from '../output/key-words.ts';
import { formatTable } from '../output/table.ts';
import { readKeys } from './edit-key-file.ts';
import { keyPlace } from './place.ts';
import { askIfThere } from './tell-daemon.ts';

/** What keys there are; nothing secret. Rejects with CommandFailure. */
export async function listKeys(options: KeyOptions): Promise<ExitCode> {
  const place = await keyPlace(options.config, options.keys);
  const { keys } = readKeys(place.file).file;
  const used = new Map((await usesOf(options.config)).map((row) => [row.name, row]));
  process.stdout.write(options.json === true ? asJson(keys, used) : asTable(keys, used, place.file));
  return EXIT.done;
}

type Used = ReadonlyMap<string, KeyRow>;

/** What the daemon knows of each key; nothing where none runs, or where who asks may not ask. */
async function usesOf(config: string): Promise<readonly KeyRow[]> {
  try {
    return (await askIfThere(config, { command: 'keys' })) ?? [];
  } catch (error) {
    process.stderr.write(`nfknock: what keys were used for is not shown: ${messageOf(error)}\n`);
    return [];
  }
}

function asTable(keys: readonly Key[], used: Used, file: string): string {
  if (keys.length === 0) return `No keys in ${file}: "nfknock key new NAME --door DOOR" makes one.\n`;
  const columns = [
    { title: 'KEY' },
    { title: 'PERSON', least: 8 },
    { title: 'KIND' },
    { title: 'BITS', align: 'right' },
    { title: 'OPENS', least: 8 },
    { title: 'LAST USED' },
    { title: 'LIMITS', kind: 'text' },
  ] as const;
  const rows = keys.map((key) => [
    key.name,
    key.person ?? '-',
    key.credential.kind,
    keyBits(key.credential)?.toString() ?? '-',
    key.doors.join(', '),
    used.get(key.name)?.last_used?.replace(/\.\d+Z$/, 'Z') ?? '-',
    keyLimits(key).join(', ') || '-',
  ]);
  return `${formatTable(columns, rows, process.stdout.isTTY ? (process.stdout.columns ?? null) : null).join('\n')}\n`;
}

function asJson(keys: readonly Key[], used: Used): string {
  const rows = keys.map((key) => ({
    name: key.name,
    person: key.person,
    kind: key.credential.kind,
    bits: keyBits(key.credential),
    doors: key.doors,
    address: key.address,
    from: key.from.map(formatCidr),
    to: key.to.map(formatCidr),
    user: key.user,
    port: key.port,
    expires: timeText(key.expires),
    expired: isPast(key.expires),
    uses: key.uses,
    holders: key.holders,
    for_max: seconds(key.forMax),
    rate: { knocks: key.rate.knocks, per: seconds(key.rate.per) },
    old_until: timeText(key.previous?.until ?? null),
    // Null: no daemon was there to ask.
    used: used.get(key.name)?.used ?? null,
    last_used: used.get(key.name)?.last_used ?? null,
    grants: used.get(key.name)?.grants ?? null,
  }));
  return `${printableJson(JSON.stringify(rows, null, 2))}\n`;
}

function seconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : milliseconds / 1000;
}
