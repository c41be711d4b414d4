import { type Asking, oneLook } from './asking.ts';
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
export async function lookAtMachine(asking: Asking = oneLook()): Promise<Machine> {
  return {
    interfaces: findInterfaces(),
    inputDefaults: await findInputDefaults(asking),
    listeners: await findReached(asking),
  };
}

/** The sockets that packets from elsewhere come to. */
export async function findReached(asking: Asking): Promise<readonly Listener[]> {
  return reached(await findListeners(), await findTranslated(asking));
}
