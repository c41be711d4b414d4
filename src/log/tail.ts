import { printableJson } from '../text/plain.ts';
import { readLine } from './entry.ts';
import { matches, type Wanted, wantsAll } from './filter.ts';
import { type Clock, type Colour, renderForeign, renderLine } from './sentence.ts';

export interface TailOptions {
  readonly wanted: Wanted;
  /** `json`: our lines as they are, characters that a terminal acts on escaped, and nothing else. `text`: sentences for people, and foreign lines escaped. */
  readonly output: 'json' | 'text';
  readonly colour: Colour;
  /** Whose time is shown in text. */
  readonly clock?: Clock;
  /** How many lines to begin with; undefined: all. */
  readonly last: number | undefined;
}

/** Chooses and words the lines of a log. */
export interface Tail {
  /** Takes lines in their order and gives what is to be printed now. */
  take(lines: readonly string[]): string[];
  /** What was there at the beginning has been read: gives the last of it. From now on `take` holds nothing back. */
  caughtUp(): string[];
}

export function createTail(options: TailOptions): Tail {
  const { last } = options;
  let held: string[] | undefined = last === undefined ? undefined : [];

  function word(text: string): string | undefined {
    const line = readLine(text);
    if (line === undefined) {
      const shown = options.output === 'text' && wantsAll(options.wanted) && text.trim() !== '';
      return shown ? renderForeign(text, options.colour) : undefined;
    }
    if (!matches(options.wanted, line)) return undefined;
    return options.output === 'json' ? harmless(text) : renderLine(line, options.colour, options.clock);
  }

  return {
    take(lines) {
      const worded = lines.map(word).filter((line) => line !== undefined);
      if (held === undefined || last === undefined) return worded;
      held.push(...worded);
      // Cut seldom, so that a long log costs no more than its length.
      if (held.length > 2 * last + 1000) held = lastOf(held, last);
      return [];
    },
    caughtUp() {
      const lines = held === undefined || last === undefined ? [] : lastOf(held, last);
      held = undefined;
      return lines;
    },
  };
}

/**
 * A line of JSON as it is, but for what a terminal would act on: such characters stand within its strings, where an
 * escape means the same, or are a carriage return between them.
 */
function harmless(text: string): string {
  return printableJson(text).replace(/\r(?!$)/g, ' ');
}

function lastOf(lines: string[], count: number): string[] {
  return count === 0 ? [] : lines.slice(-count);
}
