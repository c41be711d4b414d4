import { grantKey } from '../policy/grantee.ts';
import type { DoorEvent } from './commit.ts';
import type { ConsumptionTask, GrantEvent } from './consume.ts';

/** Who brought an event about: a knock takes what its door asks for, what people command takes nothing. */
export type Origin = 'knock' | 'command';

/** How far it had come when it was refused. */
export type Stage = 'asked' | 'kept';

/** An event of a grant on its way. */
export interface Taken {
  readonly event: DoorEvent;
  /** What it takes by what its door asked for when the engine said it; undefined: nothing. */
  readonly task: ConsumptionTask | undefined;
  readonly announce: 'yes' | 'no';
  readonly runCommand: () => void;
}

/** The events of one grant. */
interface GrantQueue {
  current: Taken;
  readonly waiting: Taken[];
  readonly finished: Promise<void>;
  readonly finish: () => void;
}

/** The events of every grant that has some on their way: one after the other, each to its end. */
export interface GrantQueues {
  /** Begun at once where none of the same grant is on its way, else once those before it have come to their end. */
  take(taken: Taken): void;
  /** What of this event's grant is on its way. */
  current(event: DoorEvent): Taken | undefined;
  /** Where the end of this event's grant waits; −1: it has not ended. */
  endOf(event: GrantEvent): number;
  /** The event comes to nothing, and so does what waits for the same grant, up to its end. The next is begun. */
  drop(event: GrantEvent, stage: Stage): void;
  /** The event has come to its end: the next of its grant is begun. */
  advance(event: DoorEvent): void;
  /** How many wait. */
  waiting(): number;
  /** Resolves once the grants that have events on their way now have none. */
  finished(): Promise<unknown>;
}

/** `gone`: what came to nothing with an event before it. */
export function createGrantQueues(begin: (taken: Taken) => void, gone: (taken: Taken) => void): GrantQueues {
  const queues = new Map<string, GrantQueue>();
  let waiting = 0;

  function endOf(event: GrantEvent): number {
    return queues.get(keyOf(event))?.waiting.findIndex((each) => each.event.event === 'door.closed') ?? -1;
  }

  function advance(event: DoorEvent): void {
    const queue = queues.get(keyOf(event));
    if (queue === undefined) return;
    const first = queue.waiting.shift();
    if (first === undefined) {
      queues.delete(keyOf(event));
      queue.finish();
      return;
    }
    waiting -= 1;
    queue.current = first;
    begin(first);
  }

  return {
    take(taken) {
      const queue = queues.get(keyOf(taken.event));
      if (queue === undefined) {
        queues.set(keyOf(taken.event), createGrantQueue(taken));
        begin(taken);
      } else {
        queue.waiting.push(taken);
        waiting += 1;
      }
    },
    current: (event) => queues.get(keyOf(event))?.current,
    endOf,
    drop(event, stage) {
      const queue = queues.get(keyOf(event));
      if (queue === undefined) return;
      const end = endOf(event);
      const isUnheard = event.event === 'door.opened';
      const dropped = end === -1 ? queue.waiting.length : isUnheard && stage === 'asked' ? end + 1 : end;
      const all = queue.waiting.splice(0, dropped);
      waiting -= dropped;
      const [first] = queue.waiting;
      // What is kept has to be taken out of the state file, in silence.
      if (isUnheard && stage === 'kept' && first !== undefined)
        queue.waiting[0] = { ...first, announce: 'no' };
      for (const each of all) gone(each);
      advance(event);
    },
    advance,
    waiting: () => waiting,
    finished: () => Promise.all([...queues.values()].map((queue) => queue.finished)),
  };
}

function keyOf({ door, grantee }: DoorEvent): string {
  return grantKey(door, grantee);
}

function createGrantQueue(current: Taken): GrantQueue {
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { current, waiting: [], finished, finish };
}
