import type { Node } from 'yaml';
import { DOOR_NAME_MAX, isDoorName } from '../policy/door-name.ts';
import { quoted } from '../text/plain.ts';
import type { Reading, Spot } from './document.ts';
import { type DoorShape, door } from './door.ts';
import type { Field, Fields } from './field.ts';
import { entriesOf, type Wanted } from './read.ts';

/** Doors of one configuration. */
const DOORS_MAX = 1024;

/** A door as it stands in the file. */
export interface DoorEntry {
  readonly name: string;
  readonly spot: Spot;
  readonly fields: Fields<DoorShape>;
}

const DOORS: Wanted = {
  noun: 'a mapping of doors',
  form: 'doors by their names, for example "ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }"',
};

export const doors: Field<readonly DoorEntry[]> = {
  means: 'the doors by their names; the only key without a default',
  takes: 'a mapping',
  schema: {
    type: 'object',
    propertyNames: { pattern: `^[a-z0-9_][a-z0-9_\\-]{0,${DOOR_NAME_MAX - 1}}$` },
    maxProperties: DOORS_MAX,
    additionalProperties: door.schema,
  },
  fallback: undefined,
  changes: 'reload',
  read: readDoors,
  absent: (spot, reading) => {
    reading.fault(
      spot,
      'the key doors is missing',
      `expected ${DOORS.form}; for decoys and bans alone write "doors: {}"`,
    );
    return undefined;
  },
};

function readDoors(node: Node | null, spot: Spot, reading: Reading): readonly DoorEntry[] | undefined {
  const entries = entriesOf(node, spot, reading, DOORS);
  if (entries === undefined) return undefined;
  if (entries.size > DOORS_MAX)
    reading.fault(spot, `there are ${entries.size} doors`, `write at most ${DOORS_MAX}`);
  const found: DoorEntry[] = [];
  for (const [name, entry] of entries) {
    if (!isDoorName(name)) {
      const meant = name
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]+/g, '-')
        .replace(/^-+/, '')
        .slice(0, DOOR_NAME_MAX);
      reading.fault(
        { at: entry.keyAt, key: entry.spot.key },
        `${quoted(name)} is not a name for a door`,
        `expected 1 to ${DOOR_NAME_MAX} of a-z, 0-9, _ and -, not - first, for example ${meant === '' ? 'door' : meant}`,
      );
    }
    const fields = door.read(entry.node, entry.spot, reading);
    if (fields !== undefined) found.push({ name, spot: { at: entry.keyAt, key: entry.spot.key }, fields });
  }
  return found;
}
