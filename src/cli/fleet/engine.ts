import { readFileSync } from 'node:fs';
import type { EngineAddress, Fleet } from '../../policy/fleet.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/** The certificates of `fleet.ca`. Throws CommandFailure. */
export function caOf({ ca }: Pick<Fleet, 'ca'>): string | null {
  if (ca === null) return null;
  try {
    return readFileSync(ca, 'utf8');
  } catch (error) {
    throw new CommandFailure(
      EXIT.config,
      `fleet.ca: ${ca} can't be read (${codeOf(error)}): name the certificates of the engine's authority`,
    );
  }
}

/** As it stands in the configuration. */
export function engineText(engine: EngineAddress): string {
  const place = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  switch (engine.kind) {
    case 'socket':
      return `unix:${engine.path}`;
    case 'server':
      return `${engine.tls ? 'rediss' : 'redis'}://${place(engine.host, engine.port)}`;
    case 'sentinels':
      return engine.nodes
        .map(({ host, port }) => `sentinel://${place(host, port)}/${engine.master}`)
        .join(' ');
    default:
      return engine satisfies never;
  }
}
