import type {
  Bus,
  ClaimRequest,
  MarkEntry,
  MarkPlace,
  Piece,
  PresenceEntry,
  RegisterRow,
  RegisterTable,
  StreamEntry,
  Telling,
} from './bus.ts';
import { createLink, type Link, type Wire } from './memory-link.ts';

/*
 * A bus in memory, for tests and the simulation: what Redis does, with a log on a disk and a replica that can both lag.
 * It forgets what Redis would forget, when its keeper says so.
 */

/** What was written, in the order in which it was: by it the disk and the replica know how far they are. */
type Entry =
  | { readonly entry: 'tell'; readonly member: string; readonly id: string; readonly telling: Telling }
  | { readonly entry: 'mark'; readonly hash: string; readonly field: string; readonly value: string }
  | { readonly entry: 'presence'; readonly member: string; readonly text: string };

interface Contents {
  readonly rows: Map<string, Map<string, RegisterRow>>;
  readonly streams: Map<string, StreamEntry[]>;
  readonly marks: Map<string, Map<string, string>>;
  readonly presence: Map<string, string>;
}

export interface MemoryEngine {
  /** A member's connection. One for each life of a member. */
  bus(member: string): Bus;
  /** The member's connection is cut, and what was on its way is lost; or joined again. */
  cut(member: string): void;
  join(member: string): void;
  /** Nothing is answered any more, to nobody. */
  stop(): void;
  /** Comes back with what the log on the disk, or the replica, has. */
  start(from: 'memory' | 'disk' | 'replica'): void;
  /** The disk, or the replica, has everything up to now. */
  sync(): void;
  replicate(): void;
  forget(member: string): void;
  /** The most entries of a stream. */
  readonly streamMax: number;
}

export interface MemoryEngineOptions {
  readonly wire: Wire;
  /** The engine's clock. */
  readonly now: () => number;
  /** Whether each write is on the disk before it is answered. */
  readonly fsync: 'always' | 'everysec';
  /** Whether a mark is answered as durable only where it is on the disk: Redis before 7.2 can't be asked. */
  readonly waits?: 'for the disk' | 'not for the disk';
  /** `get then set` is how marks must not be set: for tests that see why. */
  readonly marks?: 'write once' | 'get then set';
  readonly streamMax?: number;
  /** Entries of one piece. */
  readonly piece?: number;
}

const STREAM_MAX = 10_000;
const PIECE = 2_000;

export function createMemoryEngine(options: MemoryEngineOptions): MemoryEngine {
  const {
    wire,
    now,
    fsync,
    waits = 'for the disk',
    marks: setting = 'write once',
    streamMax = STREAM_MAX,
    piece = PIECE,
  } = options;
  const links = new Map<string, Link>();
  let log: Entry[] = [];
  let contents = emptyContents();
  let synced = 0;
  let replicated = 0;
  let run = 1;
  let up = true;
  let numbered = 0;

  function write(entry: Entry): void {
    log.push(entry);
    if (fsync === 'always') synced = log.length;
    apply(contents, entry, streamMax);
  }

  function ringAll(member: string, message: Uint8Array): void {
    for (const link of links.values()) link.hear(member, message);
  }

  function open(member: string): Bus {
    links.get(member)?.close();
    const link = createLink(member, wire, () => up);
    links.set(member, link);
    const hashOf = (of: string, table: RegisterTable): string => `${table}:${of}`;
    return {
      listen(listener) {
        link.listen(listener);
        if (up) link.join(`${run}`);
      },
      tell: (telling, done) =>
        link.request(done, () => {
          numbered += 1;
          const id = `${Math.floor(now())}-${numbered}`;
          write({ entry: 'tell', member, id, telling });
          ringAll(member, telling.message);
          return id;
        }),
      ring(message) {
        link.request(ignore, () => {
          ringAll(member, message);
          return null;
        });
      },
      claim(request, done) {
        const hash = markHash(request.mark);
        const field = keyOf(request.field);
        const before = contents.marks.get(hash)?.get(field);
        link.request(done, () => {
          const there = setting === 'write once' ? contents.marks.get(hash)?.get(field) : before;
          if (there === undefined) write({ entry: 'mark', hash, field, value: request.value });
          return { value: there ?? request.value, durable: copiesOf(request) };
        });
      },
      after: (of, id, done) =>
        link.request(done, () => {
          const stream = contents.streams.get(of) ?? [];
          const from = stream.findIndex((entry) => entry.id === id);
          if (from < 0) return null;
          const entries = stream.slice(from + 1, from + 1 + piece);
          const rest = from + 1 + piece < stream.length;
          return { entries, next: rest ? (entries.at(-1)?.id ?? null) : null };
        }),
      newest: (of, done) => link.request(done, () => contents.streams.get(of)?.at(-1)?.id ?? '0-0'),
      scan: (of, table, cursor, done) =>
        link.request(done, () =>
          pieceOf([...(contents.rows.get(hashOf(of, table))?.values() ?? [])], cursor),
        ),
      marks: (door, cursor, done) =>
        link.request(done, () => {
          const marks = contents.marks.get(markHash({ of: 'used', name: door })) ?? new Map<string, string>();
          const all = [...marks].map(([field, value]): MarkEntry => ({ field: bytesOf(field), value }));
          return pieceOf(all, cursor);
        }),
      present: (text, done) =>
        link.request(done, () => {
          const before = contents.presence.get(member) ?? null;
          write({ entry: 'presence', member, text });
          return [...contents.presence].map(
            ([of, said]): PresenceEntry => ({ member: of, text: of === member ? before : said }),
          );
        }),
      time: (done) => link.request(done, now),
      close() {
        link.close();
        if (links.get(member) === link) links.delete(member);
      },
    };
  }

  function copiesOf({ copies }: ClaimRequest): boolean {
    if (copies === null) return false;
    const onDisk = synced === log.length || waits === 'not for the disk';
    return onDisk && (copies === 0 || replicated === log.length);
  }

  function pieceOf<T>(all: readonly T[], cursor: string | null): Piece<T> {
    const from = Number(cursor ?? 0);
    const entries = all.slice(from, from + piece);
    return { entries, next: from + piece < all.length ? `${from + piece}` : null };
  }

  return {
    bus: open,
    cut: (member) => links.get(member)?.cut('cut'),
    join(member) {
      if (up) links.get(member)?.join(`${run}`);
    },
    stop() {
      up = false;
      for (const link of links.values()) link.cut('the engine stopped');
    },
    start(from) {
      const kept = from === 'memory' ? log.length : from === 'disk' ? synced : replicated;
      log = log.slice(0, kept);
      synced = Math.min(synced, kept);
      replicated = Math.min(replicated, kept);
      contents = emptyContents();
      for (const entry of log) apply(contents, entry, streamMax);
      run += 1;
      up = true;
      for (const link of links.values()) link.join(`${run}`);
    },
    sync() {
      synced = log.length;
    },
    replicate() {
      replicated = log.length;
    },
    forget(member) {
      for (const table of ['bans', 'grants'] as const) contents.rows.delete(`${table}:${member}`);
      contents.streams.delete(member);
      contents.presence.delete(member);
      log = log.filter((entry) => entry.entry === 'mark' || entry.member !== member);
    },
    streamMax,
  };
}

function emptyContents(): Contents {
  return { rows: new Map(), streams: new Map(), marks: new Map(), presence: new Map() };
}

function apply(contents: Contents, entry: Entry, streamMax: number): void {
  switch (entry.entry) {
    case 'tell': {
      for (const row of entry.telling.rows) {
        const rows = mapIn(contents.rows, `${row.table}:${entry.member}`);
        if (row.value === null) rows.delete(keyOf(row.field));
        else rows.set(keyOf(row.field), row);
      }
      const stream = contents.streams.get(entry.member) ?? [];
      contents.streams.set(entry.member, stream);
      stream.push({ id: entry.id, message: entry.telling.message });
      if (stream.length > streamMax) stream.shift();
      return;
    }
    case 'mark':
      mapIn(contents.marks, entry.hash).set(entry.field, entry.value);
      return;
    case 'presence':
      contents.presence.set(entry.member, entry.text);
      return;
    default:
      entry satisfies never;
  }
}

function mapIn<V>(maps: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const there = maps.get(key) ?? new Map<string, V>();
  maps.set(key, there);
  return there;
}

function markHash({ of, name }: MarkPlace): string {
  return `${of}:${name}`;
}

function keyOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function bytesOf(key: string): Uint8Array {
  return Uint8Array.from(key, (letter) => letter.charCodeAt(0));
}

function ignore(): void {}
