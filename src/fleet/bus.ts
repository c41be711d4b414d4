/*
 * What a member asks of whatever carries its messages. Everything is answered by a call back, exactly once, so that a
 * simulation on a virtual clock runs the same code as a daemon; nothing here throws. A bus knows bytes and names, not
 * what they mean: message.ts does.
 */

/** How a request to the bus went. `unsure`: it may have been carried out, and nobody knows. */
export type BusAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string; readonly unsure: boolean };

export type Done<T> = (answer: BusAnswer<T>) => void;

/** The two hashes of a member's registers. */
export type RegisterTable = 'bans' | 'grants';

export interface RegisterRow {
  readonly table: RegisterTable;
  readonly field: Uint8Array;
  /** Null: the register is over, and its row goes. */
  readonly value: Uint8Array | null;
}

/** What is told durably: rows, and the message that says the same, in one transaction. */
export interface Telling {
  readonly rows: readonly RegisterRow[];
  readonly message: Uint8Array;
}

/** A message of a member's stream, and its place there. */
export interface StreamEntry {
  readonly id: string;
  readonly message: Uint8Array;
}

/** A piece of what was asked for; `next`: where to go on, or null at the end. */
export interface Piece<T> {
  readonly entries: readonly T[];
  readonly next: string | null;
}

/** A write-once mark: `field` of a hash that all members may set and none may change. */
export interface ClaimRequest {
  readonly mark: MarkPlace;
  readonly field: Uint8Array;
  /** Who claims, in bytes of its own: its answer is the mark's owner. */
  readonly value: string;
  /** How many replicas must hold it; null: nobody waits until it is durable. */
  readonly copies: number | null;
}

/** `used NAME`: a door's lines, for ever. The others end by themselves, `seconds` after the first was set. */
export type MarkPlace =
  | { readonly of: 'used'; readonly name: string }
  | { readonly of: 'spa' | 'code'; readonly name: string; readonly seconds: number };

export interface ClaimAnswer {
  /** What stands there now: the claimant's own value, or that of who was first. */
  readonly value: string;
  /** Whether it is on the disk and on as many replicas as were asked for. */
  readonly durable: boolean;
}

export interface MarkEntry {
  readonly field: Uint8Array;
  readonly value: string;
}

/** What a member says of itself each second, as it stands on the bus. */
export interface PresenceEntry {
  readonly member: string;
  /** JSON, of `Presence`; null: it has said nothing yet. */
  readonly text: string | null;
}

export interface BusListener {
  /** The bus answers. `run` is another after each start or promotion of the engine: it may have forgotten things. */
  connected(run: string): void;
  disconnected(reason: string): void;
  /** A message came by the doorbell of this member; its own too. The bytes may be kept. */
  heard(member: string, message: Uint8Array): void;
}

export interface Bus {
  /** Begins to connect, and goes on trying until `close`. Before the first `connected` the doorbells are subscribed to. */
  listen(listener: BusListener): void;
  /** Answers with the id of the message's entry in the member's own stream. */
  tell(telling: Telling, done: Done<string>): void;
  /** A message that is not kept. Lost in silence where the bus is away. */
  ring(message: Uint8Array): void;
  claim(request: ClaimRequest, done: Done<ClaimAnswer>): void;
  /** What a member said after this id of its stream; the answer's value is null where that is trimmed or unknown. */
  after(member: string, id: string, done: Done<Piece<StreamEntry> | null>): void;
  /** The newest id of a member's stream; `0-0` where it is empty. */
  newest(member: string, done: Done<string>): void;
  /** A piece of a member's registers, from a cursor on (null: from the beginning); rows may come twice. */
  scan(member: string, table: RegisterTable, cursor: string | null, done: Done<Piece<RegisterRow>>): void;
  /** A piece of a door's marks. */
  marks(door: string, cursor: string | null, done: Done<Piece<MarkEntry>>): void;
  /** Says this member's presence, and reads that of all; of its own what stood there before. */
  present(text: string, done: Done<readonly PresenceEntry[]>): void;
  /** The bus's clock, in milliseconds since 1970. */
  time(done: Done<number>): void;
  close(): void;
}
