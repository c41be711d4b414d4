import type { StreamEntry } from './bus.ts';

/* The engine's answers, taken apart. Whatever has not the shape that was asked for is an error of the request alone. */

/** Of a text that another member has set, so much is kept. */
const TEXT_MAX = 4_096;
const STREAM_ID = /^\d{1,20}-\d{1,20}$/;

export function listFrom(reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply;
  throw unlike('a list');
}

export function bytesFrom(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  if (typeof reply === 'string') return Buffer.from(reply);
  throw unlike('bytes');
}

export function textFrom(reply: unknown): string {
  if (typeof reply !== 'string' && !Buffer.isBuffer(reply)) throw unlike('a text');
  return reply.toString().slice(0, TEXT_MAX);
}

/** Seconds and microseconds, as milliseconds. */
export function timeFrom(reply: unknown): number {
  const [seconds, micros] = listFrom(reply).map(Number);
  const time = (seconds ?? Number.NaN) * 1000 + (micros ?? Number.NaN) / 1000;
  if (Number.isFinite(time)) return time;
  throw unlike('a time');
}

/** Fields and values, alternately. */
export function pairsFrom(reply: unknown): readonly (readonly [Buffer, Buffer])[] {
  const all = listFrom(reply);
  if (all.length % 2 !== 0) throw unlike('fields and values');
  return Array.from({ length: all.length / 2 }, (_, index) => [
    bytesFrom(all[2 * index]),
    bytesFrom(all[2 * index + 1]),
  ]);
}

/**
 * Entries of a stream. A member can write more into its own than a message: what is no message has no bytes, and who
 * asked refuses it like any other message that makes no sense.
 */
export function entriesFrom(reply: unknown): readonly StreamEntry[] {
  return listFrom(reply).map((entry) => {
    const [at, fields] = listFrom(entry);
    const id = bytesFrom(at).toString('latin1');
    if (!STREAM_ID.test(id)) throw unlike('the id of an entry');
    const [name, message] = Array.isArray(fields) ? fields : [];
    const isMessage = Buffer.isBuffer(name) && name.toString('latin1') === 'e' && Buffer.isBuffer(message);
    return { id, message: isMessage ? message : new Uint8Array(0) };
  });
}

function unlike(wanted: string): Error {
  return new Error(`the engine answered with something else than ${wanted}`);
}

/** The same bytes, as the client takes them. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
