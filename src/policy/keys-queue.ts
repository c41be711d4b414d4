import type { Config } from './config.ts';

/** Bytes of a packet that go to the daemon: the longest that a client of fwknop makes has 468. */
export const KEYS_BYTES = 512;

/** Where doorman's clients send theirs. */
export const DOORMAN_PORT = 1001;

/** The number of the queue or group that has the keys' packets alone: a flood of knocks loses none of them. */
export function keysQueue({ listen }: Pick<Config, 'listen'>): number {
  return listen.source === 'nfqueue' ? listen.queues.last + 1 : listen.group + 1;
}
