import type { Command } from '../engine/command.ts';
import type { EngineEvent } from '../engine/event.ts';
import type { EngineSettings } from '../engine/settings.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import { consumeSequence, doorOf, notMarked } from './hook-subject.ts';

export type GrantEvent = Extract<EngineEvent, { readonly event: 'door.opened' | 'door.renewed' }>;

/** How it went. */
export interface Consumption {
  readonly accepted: boolean;
  /** What an owner should know; null: nothing. */
  readonly warning: string | null;
  /** What the engine has to be told; null: nothing. */
  readonly command: Command | null;
}

/** What a grant takes before it may be in force: it is used up durably, once, anyone who else asks for it. */
export type ConsumptionTask =
  | {
      readonly when: 'at once';
      /** The line that is used up by it. */
      readonly line: readonly PortSpec[];
      readonly consume: () => Consumption;
    }
  /** Refused where it rejects or takes too long; what it comes to after that is not looked at. */
  | { readonly when: 'later'; readonly consume: () => Promise<Consumption> };

export interface Consumer {
  /** Undefined: the grant takes nothing. */
  taskOf(event: GrantEvent): ConsumptionTask | undefined;
  /** The engine has these settings now. */
  learn(settings: EngineSettings): void;
  /** This opens the one-time door now. */
  next(door: string, knock: readonly PortSpec[]): void;
}

/** Lines of one-time files: marked used, durably, before the door opens; where that fails it does not open. */
export function createOneTimeConsumer(config: () => Config): Consumer {
  /** What opens each one-time door now, as the engine knows it: its file may have been edited since. */
  const sequences = new Map<string, readonly PortSpec[]>();
  return {
    taskOf(event) {
      const door = doorOf(config(), event.door);
      if (door === undefined || !('oneTime' in door.knock)) return undefined;
      const line = sequences.get(door.name) ?? [];
      return {
        when: 'at once',
        line,
        consume() {
          try {
            const { next, warning } = consumeSequence(door, line);
            sequences.set(door.name, next);
            const command: Command = { command: 'sequence', door: door.name, knock: next };
            return { accepted: true, warning, command };
          } catch (error) {
            return { accepted: false, warning: notMarked(door, sentenceOf(error)), command: null };
          }
        },
      };
    },
    next: (door, knock) => void sequences.set(door, knock),
    learn({ doors }) {
      for (const { name, oneTime, knock } of doors) if (oneTime) sequences.set(name, knock);
    },
  };
}
