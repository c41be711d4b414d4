import { findInputDefaults, type InputDefaults } from './input-default.ts';
import { findInterfaces, type Interface } from './interfaces.ts';
import { findListeners, type Listener } from './listeners.ts';
import { findTranslated, reached } from './translated.ts';

/** What of this machine bears on a configuration. */
export interface Machine {
  readonly interfaces: readonly Interface[];
  readonly inputDefaults: InputDefaults;
  readonly listeners: readonly Listener[];
}

/** Looks at this machine. What may not be looked at is left out, or said to be unknown. */
export async function lookAtMachine(): Promise<Machine> {
  return {
    interfaces: findInterfaces(),
    inputDefaults: await findInputDefaults(),
    listeners: await findReached(),
  };
}

/** The sockets that packets from elsewhere come to. */
export async function findReached(): Promise<readonly Listener[]> {
  return reached(findListeners(), await findTranslated());
}
