import { join } from 'node:path';
import type { OwnPart } from '../firewall/iptables/own-part.ts';
import { isReadable, type Place, placeOf, readIfThere } from './place.ts';
import type { UnitState } from './systemd.ts';

/** What is known of a change that waits for its confirmation. Moments are wall time, in milliseconds since 1970. */
export interface Change {
  readonly id: string;
  readonly since: number;
  readonly deadline: number;
  readonly boot: string;
  readonly parts: readonly OwnPart[];
  /** The sets that were there, anybody's. */
  readonly sets: readonly string[];
  /** The configuration: what it is to hold again; null: it was not there; undefined: as it is now. */
  readonly configuration: { readonly path: string; readonly text?: string | null };
  readonly unit?: UnitState;
}

export const RECORD = 'record.json';

/** The change that waits for its confirmation, if any. */
export function pendingChange(place: Place = placeOf()): Change | undefined {
  if (!isReadable(place)) return undefined;
  return changeIn(place.pending);
}

/** The change that is being rolled back, or was when who did it was killed. */
export function undoneChange(place: Place = placeOf()): Change | undefined {
  if (!isReadable(place)) return undefined;
  return changeIn(place.undoing);
}

function changeIn(folder: string): Change | undefined {
  const text = readIfThere(join(folder, RECORD));
  return text === undefined ? undefined : (JSON.parse(text) as Change);
}
