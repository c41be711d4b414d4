import { inRange, type PortSpec, rangeOf } from '../packet/port.ts';
import type { Config, Door } from './config.ts';

/** Whether a door is opened by a one-time code: some of its knocks are ports whose last digits are the code's. */
export function takesCode({ knock }: Pick<Door, 'knock'>): boolean {
  return !('oneTime' in knock) && knock.some(({ digits }) => digits !== undefined);
}

/** Whether anything is opened by a key, so that the file of keys is read. */
export function readsKeys({ listen, doors }: Pick<Config, 'listen' | 'doors'>): boolean {
  return listen.spa.length > 0 || doors.some(takesCode);
}

/** A port as it may be said: where its last digits are those of a code, without them. */
export function saidPort(doors: readonly Door[], port: PortSpec): PortSpec {
  const knocks = doors.flatMap(({ knock }) => ('oneTime' in knock ? [] : knock));
  return knocks.find((each) => each.digits !== undefined && inRange(rangeOf(each), port)) ?? port;
}
