import { isDoorName } from '../policy/door-name.ts';
import { quoted } from '../text/plain.ts';
import { usage } from './failure.ts';

/** A door's name as it may be. Throws CommandFailure. */
export function doorArgument(text: string): string {
  if (isDoorName(text)) return text;
  throw usage(`${quoted(text)} can't be the name of a door: nfknock status lists them`);
}
