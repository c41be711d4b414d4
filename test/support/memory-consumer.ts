import type { Consumer, Consumption, GrantEvent } from '../../src/daemon/consume.ts';
import { formatAddress } from '../../src/packet/address.ts';

/** A consumption that waits for the test. */
export interface Asked {
  readonly event: GrantEvent;
  /** What asked: the n-th knock that took something. */
  readonly number: number;
  accept(): void;
  refuse(): void;
  fail(): void;
}

export interface MemoryConsumer extends Consumer {
  /** Those that wait, oldest first. */
  readonly asked: readonly Asked[];
  /** Who was accepted, as `door source at`. */
  readonly accepted: ReadonlySet<string>;
}

/** What a knock took: the same knock is the same text. */
export function takenBy({ door, source, at }: Pick<GrantEvent, 'door' | 'source' | 'at'>): string {
  return `${door} ${formatAddress(source)} ${at}`;
}

/** Each knock takes something that the test gives or refuses. */
export function memoryConsumer(): MemoryConsumer {
  const asked: Asked[] = [];
  const accepted = new Set<string>();
  let number = 0;
  return {
    asked,
    accepted,
    taskOf: (event) => ({
      when: 'later',
      consume: () =>
        new Promise<Consumption>((resolve, reject) => {
          number += 1;
          const once = (work: () => void) => (): void => {
            const index = asked.indexOf(each);
            if (index === -1) return;
            asked.splice(index, 1);
            work();
          };
          const each: Asked = {
            ...{ event, number },
            accept: once(() => {
              accepted.add(takenBy(event));
              resolve({ accepted: true, warning: null, command: null });
            }),
            refuse: once(() => resolve({ accepted: false, warning: 'it was taken before', command: null })),
            fail: once(() => reject(new Error('nobody answers'))),
          };
          asked.push(each);
        }),
    }),
    learn: () => undefined,
    next: () => undefined,
  };
}
