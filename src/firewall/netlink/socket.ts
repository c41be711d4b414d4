import { RawNetlinkSocket } from 'netlink/dist/raw.js';
import { FirewallError } from '../firewall.ts';
import { type Message, NLM_F, NLMSG, NLMSG_HEADER_BYTES, readMessages } from './attributes.ts';

/** NETLINK_NETFILTER of linux/netlink.h. */
const NETLINK_NETFILTER = 12;
/** Bytes that the kernel may keep for us: a list of 262,144 bans comes in pieces, events may come in bursts. */
const RECEIVE_BUFFER_BYTES: number = 4 * 1024 * 1024;
/** One message with a thousand entries is under 64 kB. */
const SEND_BUFFER_BYTES: number = 1024 * 1024;
/** Longer than any answer takes; the kernel answers before `send` returns unless it lists. */
const ANSWER_MS_MAX = 10_000;

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

/** A netfilter socket: requests with their answers, and events. Owns a descriptor until `close`. */
export interface NetfilterSocket {
  /** Sends a message, or a transaction of several, with NLM_F_ACK or NLM_F_DUMP; resolves with the kernel's answer. */
  request(message: Buffer): Promise<Answer>;
  /** Joins a multicast group of linux/netfilter/nfnetlink.h; its messages go to `onEvent`. */
  join(group: number): void;
  close(): void;
}

export interface NetfilterOptions {
  readonly onEvent?: (message: Message) => void;
  /** Events were lost: more came than the buffer holds. */
  readonly onOverrun?: () => void;
}

interface Waiting {
  readonly messages: Message[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Throws a FirewallError where the kernel gives no such socket. */
export function openNetfilter(options: NetfilterOptions = {}): NetfilterSocket {
  const socket = open();
  const waiting = new Map<number, Waiting>();
  let sequence = 0;
  let listing: Promise<unknown> = Promise.resolve();
  let closed = false;
  let listens = false;
  socket.unref();

  socket.on('message', (datagram) => {
    for (const message of readMessages(datagram)) {
      const asked = message.sequence === 0 ? undefined : waiting.get(message.sequence);
      if (asked !== undefined) take(message, asked);
      else if (message.type !== NLMSG.error && message.type !== NLMSG.done) options.onEvent?.(message);
    }
  });
  socket.on('error', (error) => {
    // ENOBUFS: the kernel threw events or answers away. Whoever waits for an answer would wait for good.
    for (const asked of [...waiting.values()]) settle(asked, (each) => each.reject(lost(error.code)));
    options.onOverrun?.();
  });

  function settle(asked: Waiting, how: (asked: Waiting) => void): void {
    for (const [key, each] of waiting) if (each === asked) waiting.delete(key);
    clearTimeout(asked.timer);
    if (waiting.size === 0 && !listens && !closed) socket.unref();
    how(asked);
  }

  function take(message: Message, asked: Waiting): void {
    if (message.type === NLMSG.error) {
      const errno = message.payload.length >= 4 ? -message.payload.readInt32LE(0) : 0;
      if (errno === 0) settle(asked, (each) => each.resolve({ ok: true, messages: each.messages }));
      else {
        const echo = Buffer.from(message.payload.subarray(4));
        settle(asked, (each) => each.resolve({ ok: false, refusal: { errno, echo } }));
      }
    } else if (message.type === NLMSG.done) {
      settle(asked, (each) => each.resolve({ ok: true, messages: each.messages }));
    } else {
      asked.messages.push(message);
    }
  }

  const send = (message: Buffer): Promise<Answer> => {
    if (closed)
      return Promise.reject(new FirewallError('netfilter request', 'CLOSED', 'the firewall is closed'));
    sequence = (sequence % 0x7fff_ffff) + 1;
    const mine = sequence;
    number(message, mine);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(asked, (each) => each.reject(lost('ETIMEDOUT'))), ANSWER_MS_MAX);
      const asked: Waiting = { messages: [], resolve, reject, timer };
      waiting.set(mine, asked);
      socket.ref();
      socket.send(message, undefined, (error) => {
        if (error !== undefined) settle(asked, (each) => each.reject(lost(error.code)));
      });
    });
  };

  /** A list during which something changed may have holes: it is asked for anew. */
  const whole = async (message: Buffer): Promise<Answer> => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await send(message);
      const torn = answer.ok && answer.messages.some((each) => (each.flags & NLM_F.interrupted) !== 0);
      if (!torn || attempt === LIST_ATTEMPTS_MAX) return answer;
    }
  };

  return {
    request(message) {
      if ((message.readUInt16LE(6) & NLM_F.dump) !== NLM_F.dump) return send(message);
      // The kernel lists one thing at a time for each socket, and says EBUSY to a second.
      const mine = listing.then(() => whole(message));
      listing = mine.catch(() => {});
      return mine;
    },
    join(group) {
      socket.addMembership(group);
      listens = true;
    },
    close() {
      if (closed) return;
      closed = true;
      socket.close();
      for (const asked of [...waiting.values()]) settle(asked, (each) => each.reject(lost('CLOSED')));
    },
  };
}

/** Several messages in one datagram, a transaction, have one number: the first refusal or the end answers. */
function number(messages: Buffer, sequence: number): void {
  for (let at = 0; at + NLMSG_HEADER_BYTES <= messages.length; ) {
    messages.writeUInt32LE(sequence, at + 8);
    at += Math.max(NLMSG_HEADER_BYTES, (messages.readUInt32LE(at) + 3) & ~3);
  }
}

function open(): RawNetlinkSocket {
  try {
    return new RawNetlinkSocket(NETLINK_NETFILTER, {
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      sendBufferSize: SEND_BUFFER_BYTES,
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
    const mend = 'load the module nfnetlink, or run a kernel with CONFIG_NETFILTER_NETLINK';
    throw new FirewallError('open a netfilter socket', code, mend, { cause: error });
  }
}

function lost(code: string): FirewallError {
  return new FirewallError(
    'netfilter request',
    code,
    'the kernel gave no answer; it is tried again on the next change',
  );
}
