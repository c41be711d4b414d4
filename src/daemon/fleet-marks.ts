import { guarded } from '../guard/guard.ts';
import { markAllUsed, readLines } from '../one-time/file.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import { notMarked, type OneTimeNews, oneTimeNews } from './hook-subject.ts';

/** Marks of lines that no file has are not kept: a file may be exchanged at any time. */
const WAITING_MAX = 65_536;

interface MarksOptions {
  readonly doors: () => readonly Door[];
  readonly digestOf: (door: string, line: readonly PortSpec[]) => string;
  /** Lines of this door were used at this member, and are marked. */
  readonly used: (door: string, by: string, news: OneTimeNews) => void;
  readonly failed: (door: string, why: string) => void;
}

/** Lines of one-time files, by what the fleet knows them as. */
export interface Marks {
  /** A line was used at another member: it is marked here too, with others that come in the same turn. */
  used(door: string, digest: string, by: string): void;
  /** Marks what was told so far. */
  flush(): void;
  /** The lines that are marked here. */
  spent(): Iterable<{ readonly door: string; readonly digest: string }>;
}

export function createMarks({ doors, digestOf, used, failed }: MarksOptions): Marks {
  let waiting = new Map<string, Map<string, string>>();
  let isDue = false;

  function mark(): void {
    if (!isDue) return;
    isDue = false;
    const all = waiting;
    waiting = new Map();
    for (const [name, digests] of all) {
      const door = doors().find((each) => each.name === name);
      if (door === undefined || !('oneTime' in door.knock)) continue;
      markOf(door, door.knock.oneTime, digests);
    }
  }

  function markOf(door: Door, path: string, digests: ReadonlyMap<string, string>): void {
    try {
      let by: string | undefined;
      const file = markAllUsed(path, (line) => {
        const found = digests.get(digestOf(door.name, line));
        by = found ?? by;
        return found !== undefined;
      });
      if (file !== undefined && by !== undefined) used(door.name, by, oneTimeNews(door.name, path, file));
    } catch (error) {
      failed(door.name, notMarked(door, sentenceOf(error)));
    }
  }

  return {
    used(door, digest, by) {
      const digests = waiting.get(door) ?? new Map<string, string>();
      waiting.set(door, digests);
      if (digests.size < WAITING_MAX) digests.set(digest, by);
      if (isDue) return;
      isDue = true;
      setImmediate(guarded('fleet', mark));
    },
    flush: guarded('fleet', mark),
    *spent() {
      for (const { name, knock } of doors()) {
        if (!('oneTime' in knock)) continue;
        for (const { line, isUsed } of readLines(knock.oneTime))
          if (isUsed) yield { door: name, digest: digestOf(name, line) };
      }
    },
  };
}
