import { getSystemErrorName } from 'node:util';
import { Netlink, QueueError } from '@nfknock/nfqueue';
import { guarded } from '../../guard/guard.ts';
import { FirewallError } from '../firewall.ts';
import { type Message, NLM_F, NLMSG, NLMSG_HEADER_BYTES, readMessages } from './attributes.ts';

/** Bytes that the kernel may keep of answers: a list of 262,144 bans comes in pieces, refusals bring their request back. */
const ANSWERS_BYTES: number = 4 * 1024 * 1024;
/** And of events, which come in bursts: an event takes about 800 bytes of it. */
const EVENTS_BYTES: number = 32 * 1024 * 1024;
/** Longer than an answer, or the next piece of a list, takes; the kernel answers before `send` returns unless it lists. */
const ANSWER_MS_MAX = 10_000;
/** Between two attempts to open a socket anew that the kernel has ended. */
const REOPEN_MS = 1000;

/** Lists that are asked for anew before one with holes is taken. */
const LIST_ATTEMPTS_MAX = 3;

/** The kernel's errno for a message, and the copy of the message that came with it. */
export interface Refusal {
  /** Positive; from 4096 on the subsystem's own. */
  readonly errno: number;
  readonly echo: Buffer;
}

export type Answer =
  | { readonly ok: true; readonly messages: readonly Message[] }
  | { readonly ok: false; readonly refusal: Refusal };

/** A netfilter socket: requests with their answers, or events. Owns a descriptor until `close`. */
export interface NetfilterSocket {
  /**
   * Sends a message, or a transaction of several, with NLM_F_ACK or NLM_F_DUMP; resolves with the kernel's answer. With
   * `onMessage` what is listed goes there piece by piece, borrowed for the call, and the answer holds none of it.
   */
  request(message: Buffer, onMessage?: (message: Message) => void): Promise<Answer>;
  /**
   * Joins a multicast group of linux/netfilter/nfnetlink.h; its messages go to `onEvent`. Who listens asks on another
   * socket: events that fill the buffer would cost the answers.
   */
  join(group: number): void;
  close(): void;
}

export interface NetfilterOptions {
  /** The message is borrowed: it is overwritten once this returns. */
  readonly onEvent?: (message: Message) => void;
  /** So many messages were lost, at least: more came than the buffer holds, or the socket had to be opened anew. */
  readonly onOverrun?: (count: number) => void;
  /** For tests. */
  readonly receiveBuffer?: number;
  /** For tests: how long the kernel may say nothing. */
  readonly answerMs?: number;
}

interface Waiting {
  readonly messages: Message[];
  /** Messages of its answer so far. */
  heard: number;
  readonly onMessage: ((message: Message) => void) | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Throws a FirewallError where the kernel gives no such socket. */
export function openNetfilter(options: NetfilterOptions = {}): NetfilterSocket {
  const waiting = new Map<number, Waiting>();
  const groups = new Set<number>();
  let sequence = 0;
  let listing: Promise<unknown> = Promise.resolve();
  let closed = false;
  let reopening: NodeJS.Timeout | undefined;
  let socket = open();

  function open(): Netlink {
    const receiveBuffer =
      options.receiveBuffer ?? (options.onEvent === undefined ? ANSWERS_BYTES : EVENTS_BYTES);
    try {
      const opened = new Netlink({
        receiveBuffer,
        onBatch: (batch, count, lost) => {
          for (let index = 0; index < count && !closed; index += 1) {
            const offset = batch.offsets[index] ?? 0;
            const start = batch.bytes.byteOffset + offset;
            receive(Buffer.from(batch.bytes.buffer, start, batch.lengths[index] ?? 0));
          }
          if (lost > 0) overrun(lost, 'ENOBUFS');
        },
        onError: guarded('netlink', dead),
      });
      if (waiting.size === 0 && groups.size === 0) opened.unref();
      return opened;
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      const code = nameOf(error.errno);
      throw new FirewallError('open a netfilter socket', code, openingFix(code), { cause: error });
    }
  }

  /** An exception of a listener costs what it was told of, and no more. */
  const tell = guarded('netlink', (listener: () => void) => listener());

  /** The datagram is borrowed: what is kept of it is copied. */
  const receive = guarded('netlink', (datagram: Buffer): void => {
    // A datagram answers one request, or none.
    const answers = datagram.length >= NLMSG_HEADER_BYTES && waiting.has(datagram.readUInt32LE(8));
    for (const message of readMessages(answers ? Buffer.from(datagram) : datagram)) {
      if (closed) return;
      const asked = message.sequence === 0 ? undefined : waiting.get(message.sequence);
      if (asked !== undefined) {
        asked.heard += 1;
        // A long list comes in many pieces.
        asked.timer.refresh();
        take(message, asked, settle);
      } else if (message.type !== NLMSG.error && message.type !== NLMSG.done)
        tell(() => options.onEvent?.(message));
    }
  });

  /** The kernel threw events or answers away. Anyone who waits for an answer might wait for good. */
  function overrun(count: number, code: string): void {
    for (const asked of [...waiting.values()]) settle(asked, (each) => each.reject(lost(code)));
    if (!closed) tell(() => options.onOverrun?.(count));
  }

  /** Nothing that we know of does this to a socket; events would stay away for good without a word. */
  function dead(error: QueueError): void {
    if (closed) return;
    overrun(1, nameOf(error.errno));
    reopen();
  }

  function reopen(): void {
    clearTimeout(reopening);
    if (closed) return;
    try {
      socket = open();
      for (const group of groups) joinNow(group);
    } catch {
      socket.close();
      reopening = setTimeout(guarded('netlink', reopen), REOPEN_MS);
      return;
    }
    // What came while there was no socket.
    if (groups.size > 0) overrun(1, 'ENOBUFS');
  }

  function joinNow(group: number): void {
    const errno = socket.join(group);
    if (errno === 0) return;
    const fix = 'run as root or with CAP_NET_ADMIN';
    throw new FirewallError(`join the netfilter group ${group}`, nameOf(errno), fix);
  }

  function settle(asked: Waiting, how: (asked: Waiting) => void): void {
    for (const [key, each] of waiting) if (each === asked) waiting.delete(key);
    clearTimeout(asked.timer);
    if (waiting.size === 0 && groups.size === 0 && !socket.closed) socket.unref();
    how(asked);
  }

  /** Where the process has stood still the time is over before what waits in the socket was read. */
  function late(asked: Waiting): void {
    const { heard } = asked;
    setImmediate(
      guarded('netlink', () => {
        if (asked.heard === heard) settle(asked, (each) => each.reject(lost('ETIMEDOUT')));
      }),
    );
  }

  const send = (message: Buffer, onMessage?: (message: Message) => void): Promise<Answer> => {
    if (closed)
      return Promise.reject(new FirewallError('netfilter request', 'CLOSED', 'the firewall is closed'));
    sequence = (sequence % 0x7fff_ffff) + 1;
    const mine = sequence;
    number(message, mine);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        guarded('netlink', () => late(asked)),
        options.answerMs ?? ANSWER_MS_MAX,
      );
      const asked: Waiting = { messages: [], heard: 0, onMessage, resolve, reject, timer };
      waiting.set(mine, asked);
      if (!socket.closed) socket.ref();
      const errno = socket.send(message);
      if (errno !== 0) settle(asked, (each) => each.reject(lost(nameOf(errno))));
    });
  };

  return {
    request(message, onMessage) {
      if ((message.readUInt16LE(6) & NLM_F.dump) !== NLM_F.dump) return send(message, onMessage);
      // The kernel lists one thing at a time for each socket, and says EBUSY to a second.
      const mine = listing.then(() =>
        onMessage === undefined ? whole(() => send(message)) : send(message, onMessage),
      );
      listing = mine.catch(() => {});
      return mine;
    },
    join(group) {
      joinNow(group);
      groups.add(group);
    },
    close() {
      if (closed) return;
      closed = true;
      clearTimeout(reopening);
      socket.close();
      for (const asked of [...waiting.values()]) settle(asked, (each) => each.reject(lost('CLOSED')));
    },
  };
}

/** A list during which something changed may have holes: it is asked for anew. */
async function whole(list: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await list();
    const torn = answer.ok && answer.messages.some((each) => (each.flags & NLM_F.interrupted) !== 0);
    if (!torn || attempt === LIST_ATTEMPTS_MAX) return answer;
  }
}

type Settle = (asked: Waiting, how: (asked: Waiting) => void) => void;

/** What its owner can do where no socket is given. */
function openingFix(code: string): string {
  if (code === 'EMFILE' || code === 'ENFILE') return 'free file descriptors, or raise their limit';
  if (code === 'ENOMEM' || code === 'ENOBUFS') return 'free memory';
  return 'load the module nfnetlink, or run a kernel with CONFIG_NETFILTER_NETLINK';
}

/** What the kernel says to a request: its end, a refusal, or a piece of a list. */
function take(message: Message, asked: Waiting, settle: Settle): void {
  if (message.type === NLMSG.error) {
    const errno = message.payload.length >= 4 ? -message.payload.readInt32LE(0) : 0;
    if (errno === 0) settle(asked, (each) => each.resolve({ ok: true, messages: each.messages }));
    else {
      const echo = message.payload.subarray(4);
      settle(asked, (each) => each.resolve({ ok: false, refusal: { errno, echo } }));
    }
  } else if (message.type === NLMSG.done) {
    settle(asked, (each) => each.resolve({ ok: true, messages: each.messages }));
  } else if (asked.onMessage !== undefined) {
    asked.onMessage(message);
  } else {
    asked.messages.push(message);
  }
}

/** Several messages in one datagram, a transaction, have one number: the first refusal or the end answers. */
function number(messages: Buffer, sequence: number): void {
  for (let at = 0; at + NLMSG_HEADER_BYTES <= messages.length; ) {
    messages.writeUInt32LE(sequence, at + 8);
    at += Math.max(NLMSG_HEADER_BYTES, (messages.readUInt32LE(at) + 3) & ~3);
  }
}

function nameOf(errno: number): string {
  return errno > 0 ? getSystemErrorName(-errno) : 'UNKNOWN';
}

function lost(code: string): FirewallError {
  return new FirewallError(
    'netfilter request',
    code,
    'the kernel gave no answer; it is tried again on the next change',
  );
}
