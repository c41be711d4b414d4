import type { Address } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Protocol } from '../packet/port.ts';

/** An entry of the table, with what is needed to take exactly it out. */
export interface Entry {
  readonly source: Address;
  /** The original tuple, the entry's id and its zone, as the kernel wrote them. */
  readonly tuple: Buffer;
  readonly id: Buffer | undefined;
  readonly zone: Buffer | undefined;
}

/** A connection: who began it, and what it reaches once every translation is done. */
export interface Connection {
  readonly source: Address;
  /** Of the source. */
  readonly sourcePort: number;
  readonly protocol: Protocol;
  readonly host: Address;
  /** Of that host. */
  readonly port: number;
  /** Both sides have spoken: a TCP handshake was completed, a UDP exchange lasts. Forged packets alone don't get there. */
  readonly assured: boolean;
  /** TCP is between its handshake and its end, where the kernel says so; of UDP always. */
  readonly established: boolean;
  /** Unseen: it was open before anybody tracked it, so that no rule has let it in. */
  readonly beginning: 'seen' | 'unseen';
  readonly entry: Entry;
}

export interface ConnectionWatch {
  /** Idempotent; no call comes after it. */
  close(): void;
}

/** The connections to this machine and through it, as the kernel tracks them. */
export interface Connections {
  /**
   * Calls back for each connection once both sides have spoken: a TCP handshake is complete, a UDP exchange lasts. What
   * is forged in somebody's name gets no further than half-way. May call back twice for one connection. `onLost`: some
   * were missed. Throws a FirewallError where the kernel has no such events.
   */
  watch(onConnection: (connection: Connection) => void, onLost: (count: number) => void): ConnectionWatch;
  /** True while the kernel says nothing of connections, so that a watch is told of none. */
  areHidden(): boolean;
  /** Calls back for each TCP or UDP connection that one of these sources began; may be called twice for one. */
  list(sources: readonly Cidr[], visit: (connection: Connection) => void): Promise<void>;
  /** Ends exactly these; resolves with how many were still there. */
  end(connections: readonly Connection[]): Promise<number>;
  close(): void;
}
