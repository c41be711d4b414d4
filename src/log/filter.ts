import { type Cidr, contains, parseCidr } from '../packet/cidr.ts';
import type { ReadLine } from './entry.ts';

/** What `tail` is asked for; undefined: anything. */
export interface Wanted {
  /** Globs with `*` and `?`, separated by commas; one that matches suffices. */
  readonly event: string | undefined;
  readonly source: Cidr | undefined;
  readonly door: string | undefined;
}

export function matches(wanted: Wanted, line: ReadLine): boolean {
  if (wanted.door !== undefined && line.door !== wanted.door) return false;
  if (
    wanted.event !== undefined &&
    !wanted.event.split(',').some((glob) => globMatches(glob.trim(), line.event))
  ) {
    return false;
  }
  return wanted.source === undefined || isWithin(wanted.source, line.source);
}

/** True where everything is wanted, lines of others included. */
export function wantsAll(wanted: Wanted): boolean {
  return wanted.event === undefined && wanted.source === undefined && wanted.door === undefined;
}

/** `*` stands for any characters, `?` for one. It takes at most as many steps as both lengths' product. */
export function globMatches(glob: string, text: string): boolean {
  let at = 0;
  let inGlob = 0;
  let star = -1;
  let starText = 0;
  while (at < text.length) {
    if (glob[inGlob] === '*') {
      star = inGlob++;
      starText = at;
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === text[at])) {
      inGlob++;
      at++;
    } else if (star === -1) return false;
    else {
      // The last star takes one character more.
      inGlob = star + 1;
      at = ++starText;
    }
  }
  while (glob[inGlob] === '*') inGlob++;
  return inGlob === glob.length;
}

/** A ban on a network is also about every host in it that is asked for. */
function isWithin(wanted: Cidr, source: string | undefined): boolean {
  const found = source === undefined ? undefined : parseCidr(source);
  return found !== undefined && (contains(wanted, found.address) || contains(found, wanted.address));
}
