import { setTimeout as sleep } from 'node:timers/promises';
import { QueueError } from '@nfknock/nfqueue';
import { systemClock } from '../clock.ts';
import { guarded } from '../guard/guard.ts';
import type { Config } from '../policy/config.ts';
import { KEYS_BYTES, keysQueue } from '../policy/keys-queue.ts';
import { hasObserved } from '../policy/port-roles.ts';
import { createMerge, type Merge } from '../source/merge.ts';
import { openNflog } from '../source/nflog.ts';
import { holdNfqueue, openNfqueue } from '../source/nfqueue.ts';
import { queueLength } from '../source/queue-length.ts';
import type { OnBatch, Source, SourceHealth } from '../source/source.ts';
import { oneTimePortsOf } from './hook-subject.ts';

/** How long a start waits for a queue that another process is just giving up. In milliseconds. */
const TAKEN_WAIT = 3000;
const TAKEN_RETRY = 250;

/** Who holds this queue serves the network namespace; no rule leads to it, and no configuration may name it. */
const PLACE = 65_535;

/** Every queue and group that is listened on. */
export interface Sources {
  health(): readonly SourceHealth[];
  /** Takes up limits of the machine that have changed. */
  adapt(): void;
  /** Opens what another configuration needs besides; what both need stays open. Rejects with QueueError. */
  prepare(config: Config): Promise<Prepared>;
  close(): void;
}

/** New queues are open; either the old ones that are not needed any more are closed, or the new ones. */
export interface Prepared {
  commit(): void;
  rollback(): Promise<void> | void;
}

/** `queue 0`, `group 5`, `queue 1 of keys`: what is to be opened, and how. */
type Wanted = ReadonlyMap<string, () => Source>;

/** Who takes packets that may be knocks, and those to the ports of keys. */
export interface Takers {
  readonly onBatch: OnBatch;
  readonly onKeys: OnBatch;
}

interface Ways {
  readonly merge: Merge;
  readonly onKeys: OnBatch;
}

/** Opens them all, or none. Rejects with QueueError, and where another nfknock serves this network namespace. */
export async function openSources(
  config: Config,
  { onBatch, onKeys }: Takers,
  onError: (error: Error) => void,
): Promise<Sources> {
  let opened = new Map<string, Source>();
  const merge = createMerge(onBatch, systemClock.now, systemClock.wall);
  const wanted = (from: Config): Wanted => wantedBy(from, { merge, onKeys }, onError);
  let current = wanted(config);
  opened = await openMissing(current, opened);
  const place = await takePlace().catch((error: unknown) => {
    closeAll(opened);
    merge.close();
    throw error;
  });
  return {
    health: () => [...opened.values()].map((source) => source.health()),
    adapt() {
      for (const source of opened.values()) source.adapt?.();
    },
    async prepare(next) {
      const before = opened;
      const needed = wanted(next);
      const inTheWay = [...before].filter(([key]) => !needed.has(key) && isWantedElse(key, needed));
      // Until its new reader is there the kernel drops what comes: nobody else can read it.
      closeAll(inTheWay);
      const left = new Map([...before].filter(([key]) => !inTheWay.some(([other]) => other === key)));
      const fresh = await openMissing(needed, left).catch(async (error: unknown) => {
        opened = new Map([...left, ...(await openMissing(current, left))]);
        throw error;
      });
      const all = new Map([...left, ...fresh]);
      opened = all;
      return {
        commit() {
          closeAll([...all].filter(([key]) => !needed.has(key)));
          current = needed;
          opened = new Map([...all].filter(([key]) => needed.has(key)));
        },
        async rollback() {
          closeAll(fresh);
          opened = left;
          opened = new Map([...left, ...(await openMissing(current, left))]);
        },
      };
    },
    close() {
      closeAll(opened);
      place.close();
      merge.close();
    },
  };
}

/**
 * Two daemons would take each other's rules away again and again, and what one protects is open each time. Another
 * program that listens on one of our queues is told of before, by its own name.
 */
async function takePlace(): Promise<{ close(): void }> {
  try {
    return await retryTaken(() => holdNfqueue(PLACE));
  } catch (error) {
    // A kernel without NFQUEUE serves NFLOG alone.
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_TAKEN') return { close: () => undefined };
    const fix = 'stop it, or put the doors of both into one configuration';
    throw new Error(
      `another nfknock serves this network namespace, and the rules of both have the same names: ${fix}`,
      { cause: error },
    );
  }
}

function wantedBy(config: Config, { merge, onKeys }: Ways, onError: (error: Error) => void): Wanted {
  const { source, queues, group, spa } = config.listen;
  const wanted = new Map<string, () => Source>();
  if (source === 'nfqueue') {
    const own = spa.length > 0 ? 1 : 0;
    const length = (): number => queueLength(queues.last - queues.first + 1 + own);
    for (let queue = queues.first; queue <= queues.last; queue += 1) {
      wanted.set(`queue ${queue}`, () =>
        asInput(merge, (onBatch) =>
          openNfqueue({ queue, length, onBatch: guarded('packets', onBatch), onError }),
        ),
      );
    }
  }
  // Not merged: their order among knocks does not matter, and what is merged keeps less of a packet.
  if (spa.length > 0) {
    const number = keysQueue(config);
    const options = { copyRange: KEYS_BYTES, onBatch: guarded('packets', onKeys), onError };
    const count = queues.last - queues.first + 2;
    wanted.set(`${source === 'nfqueue' ? 'queue' : 'group'} ${number} of keys`, () =>
      source === 'nfqueue'
        ? openNfqueue({ queue: number, length: () => queueLength(count), ...options })
        : openNflog({ group: number, ...options }),
    );
  }
  // Knock ports with a live service behind them are copied to the group, whatever the rest comes through.
  if (source === 'nflog' || hasObserved(config, oneTimePortsOf)) {
    wanted.set(`group ${group}`, () =>
      asInput(merge, (onBatch) => openNflog({ group, onBatch: guarded('packets', onBatch), onError })),
    );
  }
  return wanted;
}

/** Opens a source whose packets go by an input of their own. */
function asInput(merge: Merge, open: (onBatch: OnBatch) => Source): Source {
  const input = merge.open();
  try {
    const source = open(input.take);
    const close = (): void => {
      source.close();
      input.close();
    };
    return { health: source.health, adapt: () => source.adapt?.(), close, [Symbol.dispose]: close };
  } catch (error) {
    input.close();
    throw error;
  }
}

async function openMissing(wanted: Wanted, there: ReadonlyMap<string, Source>): Promise<Map<string, Source>> {
  const fresh = new Map<string, Source>();
  try {
    for (const [key, open] of wanted) if (!there.has(key)) fresh.set(key, await retryTaken(open));
    return fresh;
  } catch (error) {
    closeAll(fresh);
    throw error;
  }
}

/** Whether the same queue or group is to be read as another's: there is one reader of each. */
function isWantedElse(key: string, needed: Wanted): boolean {
  return [...needed.keys()].some((other) => other !== key && numberOf(other) === numberOf(key));
}

function numberOf(key: string): string {
  return key.replace(' of keys', '');
}

function closeAll(sources: Iterable<readonly [string, Source]>): void {
  for (const [, source] of sources) source.close();
}

async function retryTaken<Opened>(open: () => Opened): Promise<Opened> {
  for (let waited = 0; ; waited += TAKEN_RETRY) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof QueueError) || error.code !== 'QUEUE_TAKEN' || waited >= TAKEN_WAIT) throw error;
      await sleep(TAKEN_RETRY);
    }
  }
}
