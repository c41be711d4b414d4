import { readFileSync } from 'node:fs';
import type { Fleet } from '../../policy/fleet.ts';
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
