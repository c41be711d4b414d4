import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { Daemon } from './daemon.ts';
import { ROOT } from './root.ts';

/** A turn of a daemon's event loop, in milliseconds. */
export interface Turn {
  readonly worked: number;
  /** With what it waited for, or for a processor. */
  readonly stood: number;
  readonly collected: boolean;
}

/** The turns of a daemon that is started with this environment, by what `turns.mjs` in it takes. */
export interface Turns {
  readonly env: Readonly<Record<string, string>>;
  /** Those while something is done, the longest first. */
  during(daemon: Daemon, act: () => Promise<unknown>): Promise<readonly Turn[]>;
  close(): void;
}

export function measureTurns(name: string): Turns {
  const file = join(tmpdir(), `nfknock-${name}-${process.pid}`);
  const close = (): void => rmSync(file, { force: true });
  return {
    env: { NODE_OPTIONS: `--import=${join(ROOT, 'test/support/turns.mjs')}`, TURNS: file },
    async during(daemon, act) {
      close();
      daemon.signal('SIGWINCH');
      await act();
      daemon.signal('SIGWINCH');
      await vi.waitFor(() => expect(existsSync(file)).toBe(true), { timeout: 10_000 });
      const turns = JSON.parse(readFileSync(file, 'utf8')) as readonly Turn[];
      return turns.toSorted((x, y) => y.worked - x.worked);
    },
    close,
  };
}
