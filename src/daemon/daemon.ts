import type { Config } from '../policy/config.ts';
import { type Opened, openDependencies } from './open-dependencies.ts';
import { type Daemon, runDaemon } from './run.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly configFile: string;
  readonly version: string;
  /** False: the rules were installed before by someone with more privilege; where they are not there that is said. */
  readonly install: boolean;
}

/** Starts the daemon on this machine. Rejects with what the system refused; then nothing is left running. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  let opened: Opened | undefined;
  try {
    opened = await openDependencies(options);
    return await runDaemon(opened.dependencies, { ...options, ...opened.findings }, opened.close);
  } catch (error) {
    await opened?.close();
    throw error;
  }
}
