import { readFileSync } from 'node:fs';
import type { Command } from '../engine/command.ts';
import type { EngineEvent } from '../engine/event.ts';
import { parseSequence } from '../one-time/file.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';
import { messageOf } from '../text/error.ts';

/** The one-time sequences of a replay: as the files have them, used up in memory alone. */
export interface OneTimeReplay {
  /** The sequence that opens the door now; empty: none is left. */
  next(door: Door): readonly PortSpec[];
  /** Every port of the door's unused sequences. */
  ports(door: Door): readonly PortSpec[];
  /** What the engine is to be told after this event, if it used a sequence up. */
  after(event: EngineEvent): Command | undefined;
  /** Files that could not be read, in words for people. */
  readonly warnings: readonly string[];
}

/** Reads the files once. A replay marks nothing in them. */
export function readOneTimes(config: Config): OneTimeReplay {
  const unused = new Map<string, (readonly PortSpec[])[]>();
  const warnings: string[] = [];
  for (const { name, knock } of config.doors) {
    if (!('oneTime' in knock)) continue;
    try {
      unused.set(name, sequencesOf(readFileSync(knock.oneTime, 'utf8')));
    } catch (error) {
      const why = messageOf(error);
      unused.set(name, []);
      warnings.push(`door ${name} stays shut: ${knock.oneTime} can't be read: ${why}`);
    }
  }
  return {
    warnings,
    next: ({ name }) => unused.get(name)?.[0] ?? [],
    ports: ({ name }) => (unused.get(name) ?? []).flat(),
    after(event) {
      if (event.event !== 'door.opened' && event.event !== 'door.renewed') return undefined;
      const left = unused.get(event.door);
      if (left === undefined) return undefined;
      left.shift();
      return { command: 'sequence', door: event.door, knock: left[0] ?? [] };
    },
  };
}

function sequencesOf(text: string): (readonly PortSpec[])[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#') && line.trim() !== '')
    .flatMap((line) => {
      const sequence = parseSequence(line);
      return sequence === undefined ? [] : [sequence];
    });
}
