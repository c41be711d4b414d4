import { type Profiler, Session } from 'node:inspector';

/** Characters of each script that ran: 1, or 0. */
export type Ran = ReadonlyMap<string, Uint8Array>;

/** Which characters of the program's text have run, as V8 tells. */
export interface Coverage {
  /** What ran since this was asked the last time. */
  ran(): Ran;
  /** Does it hold a character that had not been learned? */
  isNew(ran: Ran): boolean;
  learn(ran: Ran): void;
  /** How many characters were learned. */
  size(): number;
  close(): void;
}

/** Of those scripts whose address holds `within`. */
export function openCoverage(within: string): Coverage {
  const session = new Session();
  const learned = new Map<string, Uint8Array>();
  session.connect();
  session.post('Profiler.enable');
  // With counts: without them a block is reported only the first time.
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

  return {
    ran() {
      const scripts = taken(session).filter(({ url }) => url.includes(within));
      return new Map(scripts.map((script) => [script.url, charactersOf(script)]));
    },
    isNew: (ran) => [...ran].some(([url, characters]) => !isWithin(characters, learned.get(url))),
    learn(ran) {
      for (const [url, characters] of ran) learned.set(url, both(characters, learned.get(url)));
    },
    size: () => [...learned.values()].flatMap((each) => [...each]).filter((ran) => ran === 1).length,
    close: () => session.disconnect(),
  };
}

/** The answer comes while the question is asked: the session is this thread's own. */
function taken(session: Session): readonly Profiler.ScriptCoverage[] {
  let scripts: readonly Profiler.ScriptCoverage[] = [];
  session.post('Profiler.takePreciseCoverage', (error, found) => {
    if (error !== null) throw error;
    scripts = found.result;
  });
  return scripts;
}

/** What lies within a range comes after it, and speaks only where it ran more or less often. */
function charactersOf({ functions }: Profiler.ScriptCoverage): Uint8Array {
  const ranges = functions.flatMap((each) => each.ranges);
  const characters = new Uint8Array(Math.max(0, ...ranges.map(({ endOffset }) => endOffset)));
  for (const { startOffset, endOffset, count } of ranges)
    characters.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return characters;
}

function isWithin(some: Uint8Array, all: Uint8Array | undefined): boolean {
  return some.every((ran, at) => ran === 0 || all?.[at] === 1);
}

function both(some: Uint8Array, more: Uint8Array = new Uint8Array()): Uint8Array {
  const [short, long] = some.length < more.length ? [some, more] : [more, some];
  return long.map((ran, at) => ran | (short[at] ?? 0));
}
