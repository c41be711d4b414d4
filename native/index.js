// Checks arguments and words errors; the native part (src/addon.c) owns the sockets.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';

const COPY_RANGE_DEFAULT = 256;
const COPY_RANGE_MIN = 64;
const COPY_RANGE_MAX = 65_535;
/** Holds a full queue: 65,535 packets of 832 bytes each in the kernel's accounting. */
const RECEIVE_BUFFER_DEFAULT = 64 * 1024 * 1024;
const RECEIVE_BUFFER_MIN = 4096;
const RECEIVE_BUFFER_MAX = 1024 * 1024 * 1024;
const QUEUE_LENGTH_MAX = 65_535;
const NUMBER_MAX = 65_535;
/** As src/addon.c numbers them. */
const KIND = { queue: 0, log: 1, netlink: 2 };

const native = load();

/** Built here, or brought along for this machine. */
function load() {
  const require = createRequire(import.meta.url);
  const places = ['build/Release/nfqueue.node', `prebuilds/linux-${process.arch}/nfqueue.node`];
  const found = places.map((place) => join(import.meta.dirname, place)).find((place) => existsSync(place));
  if (found === undefined) {
    throw new Error(
      `@nfknock/nfqueue has no binary for ${process.platform}-${process.arch} in ${import.meta.dirname}. ` +
        'Build it: npm run build (needs a C compiler, make and Python)',
    );
  }
  return require(found);
}

export class QueueError extends Error {
  constructor(code, operation, errno, message) {
    super(message);
    this.name = 'QueueError';
    this.code = code;
    this.operation = operation;
    this.errno = errno;
  }
}

/** The native part of a handle, for what one kind of it can do besides. */
let nativeOf;

class Handle {
  static {
    nativeOf = (handle) => handle.#handle;
  }

  #handle;
  #closed = false;
  #what;

  constructor(kind, number, options, maxLength) {
    const what = nameOf(kind, number);
    const {
      onBatch,
      onError,
      copyRange = COPY_RANGE_DEFAULT,
      receiveBuffer = RECEIVE_BUFFER_DEFAULT,
    } = options;
    requireFunction('onBatch', onBatch);
    requireFunction('onError', onError);
    const onDead = (errno) => {
      this.#closed = true;
      onError(wordDead(what, errno));
    };
    integer('copyRange', copyRange, COPY_RANGE_MIN, COPY_RANGE_MAX);
    integer('receiveBuffer', receiveBuffer, RECEIVE_BUFFER_MIN, RECEIVE_BUFFER_MAX);
    const handle = native.open(kind, number, copyRange, receiveBuffer, maxLength, onBatch, onDead);
    if (handle.code !== undefined) throw wordRefused(what, handle);
    this.#handle = handle;
    this.#what = what;
  }

  get batch() {
    return this.#handle.batch;
  }

  get closed() {
    return this.#closed;
  }

  stats() {
    const stats = native.stats(this.#handle);
    if (stats !== undefined) return stats;
    throw new QueueError(
      'CLOSED',
      'stats',
      0,
      `${this.#what} is closed: ask for its counts before closing it`,
    );
  }

  close() {
    this.#closed = true;
    native.close(this.#handle);
  }

  [Symbol.dispose]() {
    this.close();
  }
}

export class NfQueue extends Handle {
  constructor(options) {
    requireObject(options);
    const { queue, maxLength = QUEUE_LENGTH_MAX } = options;
    integer('queue', queue, 0, NUMBER_MAX);
    super(KIND.queue, queue, options, integer('maxLength', maxLength, 1, QUEUE_LENGTH_MAX));
  }

  setLength(packets) {
    return native.setLength(nativeOf(this), integer('packets', packets, 1, QUEUE_LENGTH_MAX));
  }
}

export class NfLog extends Handle {
  constructor(options) {
    requireObject(options);
    super(KIND.log, integer('group', options.group, 0, NUMBER_MAX), options, 0);
  }
}

export class Netlink extends Handle {
  constructor(options) {
    requireObject(options);
    super(KIND.netlink, 0, { ...options, copyRange: COPY_RANGE_DEFAULT }, 0);
  }

  send(bytes) {
    if (!(bytes instanceof Uint8Array)) throw new TypeError(`bytes must be a Uint8Array, not ${show(bytes)}`);
    return native.send(nativeOf(this), bytes);
  }

  join(group) {
    return native.join(nativeOf(this), integer('group', group, 1, NUMBER_MAX));
  }

  leave(group) {
    return native.leave(nativeOf(this), integer('group', group, 1, NUMBER_MAX));
  }

  ref() {
    native.hold(nativeOf(this), true);
  }

  unref() {
    native.hold(nativeOf(this), false);
  }
}

function nameOf(kind, number) {
  if (kind === KIND.netlink) return 'the netfilter socket';
  return kind === KIND.log ? `NFLOG group ${number}` : `NFQUEUE ${number}`;
}

/** The kernel module that brings what was asked for. */
function moduleOf(what) {
  if (what.startsWith('NFLOG')) return 'nfnetlink_log';
  return what.startsWith('NFQUEUE') ? 'nfnetlink_queue' : 'nfnetlink';
}

function requireObject(options) {
  if (typeof options === 'object' && options !== null) return;
  throw new TypeError(`options must be an object, not ${show(options)}`);
}

function requireFunction(name, value) {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, not ${show(value)}`);
}

function integer(name, value, min, max) {
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number from ${min} to ${max}, not ${show(value)}`);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
}

function show(value) {
  return value === null ? 'null' : typeof value;
}

function wordRefused(what, { code, operation, errno, holder }) {
  const name = errnoName(errno);
  switch (code) {
    case 'NOT_PERMITTED':
      return new QueueError(
        code,
        operation,
        errno,
        `${what}: not permitted (${name}). Run as root, or give the program CAP_NET_ADMIN over its network namespace ` +
          '(systemd: AmbientCapabilities=CAP_NET_ADMIN; Docker: cap_add: NET_ADMIN)',
      );
    case 'QUEUE_TAKEN':
      return new QueueError(
        code,
        operation,
        errno,
        `${what} is taken by another program${wordHolder(holder)}. Stop it, or choose another number`,
      );
    case 'NO_KERNEL_SUPPORT':
      return new QueueError(
        code,
        operation,
        errno,
        `${what}: this kernel has no support for it (${operation}: ${name}). Load it: modprobe ` +
          `${moduleOf(what)}; ` +
          'in a sandbox, allow netlink sockets (systemd: RestrictAddressFamilies=AF_NETLINK)',
      );
    default:
      return new QueueError(
        code,
        operation,
        errno,
        `${what} could not be opened: ${operation} failed with ${name}. Check memory and open-file limits, and try again`,
      );
  }
}

export function sayLastLine(file, before, after, last) {
  for (const [name, value] of Object.entries({ file, before, after, last })) {
    if (typeof value !== 'string')
      throw new TypeError(`sayLastLine: ${name} must be a string, not ${show(value)}`);
  }
  const errno = native.sayLastLine(...[file, before, after, last].map((text) => Buffer.from(text)));
  return errno === 0 ? undefined : errnoName(errno);
}

export function sendDatagram(path, bytes) {
  if (typeof path !== 'string' || path === '') throw new TypeError('sendDatagram: path must be a string');
  const address = Buffer.from(path);
  // systemd writes the 0 byte that begins an abstract name as @.
  if (path.startsWith('@')) address[0] = 0;
  const errno = native.sendDatagram(address, bytes);
  return errno === 0 ? undefined : errnoName(errno);
}

export function abortConnection(local, localPort, remote, remotePort) {
  const errno = native.abortConnection(local, localPort, remote, remotePort);
  return errno === 0 ? undefined : errnoName(errno);
}

export function clockIsSynchronised() {
  const status = native.clockStatus();
  return status < 0 ? undefined : status === 1;
}

/** A netlink port is mostly the process id of its owner, but need not be. */
function wordHolder(holder) {
  return holder === 0 ? '' : ` (netlink port ${holder}, mostly its process id)`;
}

function wordDead(what, errno) {
  const name = errnoName(errno);
  const reason =
    name === 'EFAULT'
      ? 'the memory of its batch was transferred away; copy what must outlive the callback'
      : `the kernel no longer answers (${name}); open it again`;
  return new QueueError('SOCKET_FAILED', 'receive', errno, `${what} is closed: ${reason}`);
}

function errnoName(errno) {
  return errno > 0 ? getSystemErrorName(-errno) : `error ${errno}`;
}
