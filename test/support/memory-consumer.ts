import type { Consumer, Consumption, GrantEvent } from '../../src/daemon/consume.ts';
import { formatAddress } from '../../src/packet/address.ts';
import type { PortSpec } from '../../src/packet/port.ts';

/** A consumption that waits for the test. */
export interface Asked {
  readonly event: GrantEvent;
  /** What asked: the n-th knock that took something. */
  readonly number: number;
  /** What opened the door when it was knocked, as `next` had told it last. */
  readonly line: readonly PortSpec[];
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
  let now: readonly PortSpec[] = [];
  /** `line`: of the moment at which what an event takes was asked for. */
  const consume = (event: GrantEvent, line: readonly PortSpec[]) => (): Promise<Consumption> =>
    new Promise((resolve, reject) => {
      number += 1;
      const once = (work: () => void) => (): void => {
        const index = asked.indexOf(each);
        if (index === -1) return;
        asked.splice(index, 1);
        work();
      };
      const each: Asked = {
        ...{ event, number, line },
        accept: once(() => {
          accepted.add(takenBy(event));
          resolve({ accepted: true, warning: null, command: null });
        }),
        refuse: once(() => resolve({ accepted: false, warning: 'it was taken before', command: null })),
        fail: once(() => reject(new Error('nobody answers'))),
      };
      asked.push(each);
    });
  return {
    asked,
    accepted,
    taskOf: (event) => ({ when: 'later', consume: consume(event, now) }),
    learn: () => undefined,
    next: (_, knock) => {
      now = knock;
    },
  };
}
