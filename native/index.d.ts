/** A batch of packets. Every array is allocated once and reused: read it during the callback only. */
export interface Batch {
  /** One memory for all packets. */
  readonly bytes: Uint8Array;
  /** Where packet `i`'s IP header begins in `bytes`. */
  readonly offsets: Int32Array;
  /** Bytes of packet `i` that are there: at most `copyRange`. */
  readonly lengths: Int32Array;
  /** Bytes that packet `i` has in truth (NFQA_CAP_LEN); equal to `lengths[i]` where nothing was cut off. */
  readonly fullLengths: Int32Array;
  /** Milliseconds since 1970 with a microsecond's fraction, as the kernel stamped it; 0: no stamp. */
  readonly stamps: Float64Array;
}

/** Counts since the socket was opened, and what /proc says now. */
export interface Stats {
  readonly packets: number;
  readonly batches: number;
  /** Packets waiting for a verdict (NFQUEUE); 0 for NFLOG. */
  readonly depth: number;
  /** The queue was full (NFQUEUE: queue_dropped; NFLOG: gaps in NFULA_SEQ). */
  readonly kernelDropped: number;
  /** The socket's buffer was full (NFQUEUE: queue_user_dropped; NFLOG: drops in /proc/net/netlink). */
  readonly userDropped: number;
  /** Messages truncated, or whose lengths lie. */
  readonly errors: number;
  /** ENOBUFS seen. */
  readonly overruns: number;
  /**
   * False where the kernel's own table could not be read: /proc/net/netfilter/nfnetlink_queue is root's alone,
   * CAP_NET_ADMIN does not open it. `depth` and `kernelDropped` are then 0, and `userDropped` counts the packet
   * ids that no message came for.
   */
  readonly complete: boolean;
}

export type QueueErrorCode =
  | 'NOT_PERMITTED'
  | 'QUEUE_TAKEN'
  | 'NO_KERNEL_SUPPORT'
  | 'SOCKET_FAILED'
  | 'CLOSED';

/** An error of the system: `code` to decide by, `operation` and `errno` to report, `message` in words. */
export class QueueError extends Error {
  readonly code: QueueErrorCode;
  readonly operation: string;
  readonly errno: number;
}

export interface Options {
  /** Called with the first `count` packets in `batch`. What it throws becomes an uncaught exception. */
  readonly onBatch: (batch: Batch, count: number) => void;
  /** The socket is dead (not for errors that are only counted). It has been closed before the call. */
  readonly onError: (error: QueueError) => void;
  /** Bytes copied of each packet, 64–65535; default 256. */
  readonly copyRange?: number;
  /** Socket receive buffer in bytes; default 64 MiB (SO_RCVBUFFORCE, else SO_RCVBUF). */
  readonly receiveBuffer?: number;
}

export interface QueueOptions extends Options {
  /** Queue number, 0–65535. */
  readonly queue: number;
  /** Packets that the kernel holds for us, 1–65535; default 65535. */
  readonly maxLength?: number;
}

export interface LogOptions extends Options {
  /** Group number, 0–65535. */
  readonly group: number;
}

interface Handle {
  /** The batch object given to every callback. */
  readonly batch: Batch;
  /** Throws QueueError `CLOSED` once the handle is closed. */
  stats(): Stats;
  /** Idempotent, allowed inside a callback; no callback comes after it. Waiting packets are dropped. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}

/** An NFQUEUE, bound. Every packet gets the verdict DROP before `onBatch` sees it. Throws QueueError. */
export class NfQueue implements Handle {
  constructor(options: QueueOptions);
  readonly batch: Batch;
  readonly closed: boolean;
  /** How many packets, 1–65535, the kernel may hold from now on; those that wait stay. An errno, 0 for none. */
  setLength(packets: number): number;
  stats(): Stats;
  close(): void;
  [Symbol.dispose](): void;
}

/** An NFLOG group, bound. Throws QueueError. */
export class NfLog implements Handle {
  constructor(options: LogOptions);
  readonly batch: Batch;
  readonly closed: boolean;
  stats(): Stats;
  close(): void;
  [Symbol.dispose](): void;
}

export interface NetlinkOptions {
  /**
   * Called with the first `count` datagrams of the kernel in `batch` (each holds netlink messages, and is whole), and
   * with how many messages were lost since the last call: `count` may be 0 then. What it throws becomes an uncaught
   * exception.
   */
  readonly onBatch: (batch: Batch, count: number, lost: number) => void;
  /** The socket is dead. It has been closed before the call. */
  readonly onError: (error: QueueError) => void;
  /** Socket receive buffer in bytes; default 64 MiB (SO_RCVBUFFORCE, else SO_RCVBUF). */
  readonly receiveBuffer?: number;
}

/**
 * A NETLINK_NETFILTER socket for requests and their answers, or for the events of groups. Overruns end nothing: they
 * are counted, and told with the next batch. Calls answer with an errno, 0 for none; EBADF once it is closed. Throws
 * QueueError.
 */
export class Netlink implements Handle {
  constructor(options: NetlinkOptions);
  readonly batch: Batch;
  readonly closed: boolean;
  stats(): Stats;
  send(bytes: Uint8Array): number;
  /** A group of linux/netfilter/nfnetlink.h. */
  join(group: number): number;
  leave(group: number): number;
  /** Whether the process goes on for this socket alone; at first it does. */
  ref(): void;
  unref(): void;
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * When native code ends the process (SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE) one line is appended to the file, or to
 * standard output where `file` is empty: `before`, the moment in UTC, `after`, the signal's name, `last`. Undefined, or
 * the error's code.
 */
export function sayLastLine(file: string, before: string, after: string, last: string): string | undefined;

/**
 * Sends one datagram to a Unix socket without waiting: a path, or an abstract name after `@`. Undefined when it
 * was sent, else the error's code, such as `EAGAIN` where the receiver is full.
 */
export function sendDatagram(path: string, bytes: Uint8Array): string | undefined;

/**
 * Ends a TCP connection of this machine, as `ss -K` does: the peer gets a reset. Addresses are 4 or 16 bytes in network
 * order. Undefined when it was ended, else the error's code: `ENOENT` where there is none; a service that listens is
 * never ended. Needs CAP_NET_ADMIN.
 */
export function abortConnection(
  local: Uint8Array,
  localPort: number,
  remote: Uint8Array,
  remotePort: number,
): string | undefined;

/** Whether the kernel's wall clock is synchronised (adjtimex); undefined where it may not be asked. */
export function clockIsSynchronised(): boolean | undefined;
