import type { Bus, RegisterRow, RegisterTable, StreamEntry } from './bus.ts';
import type { Surroundings } from './host.ts';

/*
 * What a member must read of another: all of its registers, when it joins or has been away for too long, and otherwise
 * what it has missed of its stream. Everything is numbered, so a gap shows; a reading that fails is made again at the
 * next heartbeat.
 */
export interface Reader {
  /** Reads what is missing of this member, unless that is under way. */
  catchUp(member: string): void;
  /** A message with this number came by the doorbell. */
  heard(member: string, number: number): void;
  /** The member, which runs since then, says that it has told so many. */
  said(member: string, number: number, started: number): void;
  /** Forgets how far it was with everybody: what was told and may have been missed is read. */
  disconnected(): void;
  /** Reads everything of this member again; false where it is being read already, or was so just now. */
  reread(member: string): boolean;
  /** Reads everything of everybody again: more is believed than before, or what is known is to be carried out again. */
  anew(how: 'read' | 'again'): void;
  forget(member: string): void;
  /** Whether everything of this member has been read once. */
  hasRead(member: string): boolean;
}

export interface ReaderParts {
  readonly bus: Bus;
  /** Takes in a message of a stream. */
  message(member: string, message: Uint8Array): void;
  /** Takes in registers of a member's hashes. */
  rows(member: string, rows: readonly RegisterRow[], how: 'read' | 'again'): void;
  finished(member: string): void;
  readonly surroundings: Pick<Surroundings, 'now' | 'after'>;
}

interface Progress {
  /** All messages up to here were heard. */
  number: number;
  /** The highest number that the member is known to have told. */
  goal: number;
  /** The entry of its stream up to which all was read; null: its registers are to be read. */
  id: string | null;
  reading: boolean;
  /** Until all has been read: for what. */
  how: 'read' | 'again';
  hasRead: boolean;
  /** Since when the member runs whose numbers these are; undefined: it has not said. */
  started: number | undefined;
  /** Messages heard by the doorbell since the stream was read: there the place in it stands still. */
  since: number;
  /** A reading was given up, or put off. */
  isDue: boolean;
  /** When the reading began, or was asked for last. */
  began: number;
  /** How long may be read still, in milliseconds. */
  credit: number;
}

const NOTHING_READ: Progress = {
  ...{ number: 0, goal: 0, since: 0, id: null, started: undefined },
  ...{ reading: false, hasRead: false, how: 'read', isDue: false, began: 0, credit: 0 },
};

/** After so many messages the stream is read on, so that a gap later does not cost all of it. */
const READ_EVERY = 512;
/** So many entries of a stream are read in one go, more than it is to have: they are written as fast as they are read. */
const ENTRIES_MAX = 12_000;
/** A member is read for so long at once, in milliseconds, and then for this part of the time. */
const READ_AT_ONCE = 3_000;
const READ_PART = 0.1;
/** What is taken in in one turn: some 700 registers. */
const TURN_BYTES = 32_768;
const TABLES: readonly RegisterTable[] = ['bans', 'grants'];

interface Rest {
  readonly from: string;
  readonly goal: number;
  /** Entries that may still be read in this go. */
  readonly left: number;
  /** What is there of the stream begins later. */
  readonly trimmed: () => void;
}

interface Place {
  readonly table: number;
  readonly cursor: string | null;
}

export function createReader({ bus, message, rows, finished, surroundings }: ReaderParts): Reader {
  const { now, after } = surroundings;
  const { all, progressOf } = createProgresses();
  /** What is answered after a cut belongs to a reading that is over. */
  let life = 0;

  function catchUp(member: string): void {
    const progress = progressOf(member);
    if (progress.reading) return;
    // Whoever writes as fast as it is read, or trims its stream under a million rows, would be read for ever.
    if (!mayRead(progress, now())) {
      progress.isDue = true;
      return;
    }
    Object.assign(progress, { reading: true, since: 0, isDue: false });
    // Whoever said a number had been answered before: what it stands for is there to be read.
    const { goal } = progress;
    if (progress.id === null) readAll(member, progress, goal);
    else
      readStream(member, progress, {
        from: progress.id,
        ...{ goal, left: ENTRIES_MAX },
        trimmed: () => readAll(member, progress, goal),
      });
  }

  function readStream(member: string, progress: Progress, rest: Rest): void {
    const made = life;
    const { from, goal, trimmed, left } = rest;
    bus.after(member, from, (answer) => {
      if (made !== life) return;
      if (!answer.ok) return giveUp(progress);
      if (answer.value === null) return trimmed();
      const { next, entries } = answer.value;
      takeStream(member, progress, entries, () => {
        const more = left - entries.length;
        if (next === null || more <= 0) finish(member, progress, goal);
        else readStream(member, progress, { ...rest, from: next, left: more });
      });
    });
  }

  /** Some of it a turn: an entry may have hundreds of registers. */
  function takeStream(
    member: string,
    progress: Progress,
    entries: readonly StreamEntry[],
    done: () => void,
  ): void {
    const made = life;
    let bytes = 0;
    for (const [at, entry] of entries.entries()) {
      if (bytes >= TURN_BYTES) {
        after(0, () => {
          if (made === life) takeStream(member, progress, entries.slice(at), done);
        });
        return;
      }
      progress.id = entry.id;
      message(member, entry.message);
      bytes += entry.message.length;
    }
    done();
  }

  /** First the end of the stream, then the registers: what is told meanwhile is read after them. */
  function readAll(member: string, progress: Progress, goal: number): void {
    const made = life;
    bus.newest(member, (answer) => {
      if (made !== life) return;
      if (!answer.ok) return giveUp(progress);
      const id = answer.value;
      readTable(member, progress, { table: 0, cursor: null }, () => {
        // Of an empty stream, and of one that is trimmed as fast as it is read, the registers are read again next time.
        const over = (): void => {
          progress.id = null;
          finish(member, progress, goal);
        };
        progress.id = id;
        if (id === NOTHING_TOLD) over();
        else readStream(member, progress, { from: id, goal, left: ENTRIES_MAX, trimmed: over });
      });
    });
  }

  function finish(member: string, progress: Progress, goal: number): void {
    progress.credit -= now() - progress.began;
    progress.number = Math.max(progress.number, goal);
    progress.reading = false;
    progress.how = 'read';
    progress.hasRead = true;
    finished(member);
  }

  function readTable(member: string, progress: Progress, { table, cursor }: Place, done: () => void): void {
    const name = TABLES[table];
    if (name === undefined) {
      done();
      return;
    }
    const made = life;
    bus.scan(member, name, cursor, (answer) => {
      if (made !== life) return;
      if (!answer.ok) return giveUp(progress);
      const { entries, next } = answer.value;
      rows(member, entries, progress.how);
      readTable(member, progress, { table: next === null ? table + 1 : table, cursor: next }, done);
    });
  }

  return {
    catchUp,
    heard(member, number) {
      const progress = progressOf(member);
      progress.goal = Math.max(progress.goal, number);
      if (number === progress.number + 1) progress.number = number;
      progress.since += 1;
      if (progress.goal > progress.number || progress.since >= READ_EVERY) catchUp(member);
    },
    said(member, number, started) {
      const progress = progressOf(member);
      countTo(progress, number, started);
      if (progress.goal > progress.number || !progress.hasRead || progress.isDue) catchUp(member);
    },
    disconnected() {
      life += 1;
      for (const progress of all.values()) Object.assign(progress, { reading: false, credit: READ_AT_ONCE });
    },
    reread(member) {
      const progress = progressOf(member);
      if (progress.reading || !mayRead(progress, now())) return false;
      progress.id = null;
      catchUp(member);
      return true;
    },
    anew(how) {
      life += 1;
      for (const [member, progress] of all) {
        Object.assign(progress, { id: null, reading: false, credit: READ_AT_ONCE });
        if (how === 'again') progress.how = how;
        catchUp(member);
      }
    },
    forget: (member) => void all.delete(member),
    hasRead: (member) => all.get(member)?.hasRead === true,
  };
}

const NOTHING_TOLD = '0-0';

function createProgresses(): {
  readonly all: Map<string, Progress>;
  readonly progressOf: (member: string) => Progress;
} {
  const all = new Map<string, Progress>();
  return {
    all,
    progressOf(member) {
      const there = all.get(member);
      if (there !== undefined) return there;
      const made: Progress = { ...NOTHING_READ, credit: READ_AT_ONCE };
      all.set(member, made);
      return made;
    },
  };
}

function giveUp(progress: Progress): void {
  Object.assign(progress, { reading: false, isDue: true });
}

function mayRead(progress: Progress, now: number): boolean {
  const credit = progress.credit + (now - progress.began) * READ_PART;
  Object.assign(progress, { credit: Math.min(READ_AT_ONCE, credit), began: now });
  return progress.credit > 0;
}

/** The member, which runs since then, has told so many. */
function countTo(progress: Progress, number: number, started: number): void {
  // Its numbers begin with the moment of its start, and an engine's clock may have gone back since.
  const isAnother = progress.started !== undefined && progress.started !== started;
  if (isAnother && number < progress.goal) Object.assign(progress, { number: 0, goal: 0 });
  progress.started = started;
  progress.goal = Math.max(progress.goal, number);
}
