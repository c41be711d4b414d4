import type { ClaimAnswer, ClaimRequest } from './bus.ts';
import { isRefusal, type Reply } from './redis-connect.ts';
import type { Life } from './redis-life.ts';
import { bufferOf, textFrom } from './redis-replies.ts';

/** How long the engine waits for its disk and its replicas before it answers how far they are. */
const DURABLE_MS = 400;

/**
 * Sets a mark where nobody has, says whose it is, and waits until it is on the disk and on the replicas, where anybody
 * asks for that. `me` is where this member says its presence, and what it said last.
 */
export async function claimMark(
  { facts, claims }: Life,
  key: string,
  { mark, field, value, copies }: ClaimRequest,
  me: { readonly key: string; readonly text: string | undefined },
): Promise<ClaimAnswer> {
  const name = bufferOf(field);
  const [set, owner] = await Promise.all([
    claims.send(['HSETNX', key, name, value]),
    claims.send(['HGET', key, name]),
    'seconds' in mark ? claims.send(['EXPIRE', key, `${mark.seconds}`, 'NX']) : null,
  ]);
  const there = textFrom(owner);
  if (there !== value) return { value: there, durable: true };
  if (copies === null) return { value: there, durable: false };
  // Set by this member before, perhaps by a connection that is gone: what the engine waits for is the last write of
  // this one. So one is made.
  if (set !== 1 && me.text === undefined) return { value: there, durable: false };
  const [, disk, held] = await Promise.all([
    set !== 1 && me.text !== undefined ? claims.send(['SET', me.key, me.text]) : null,
    facts.waitsForDisk ? orNothing(claims.send(['WAITAOF', '1', '0', `${DURABLE_MS}`])) : null,
    copies > 0 ? orNothing(claims.send(['WAIT', `${copies}`, `${DURABLE_MS}`])) : null,
  ]);
  const onDisk = facts.waitsForDisk ? Array.isArray(disk) && Number(disk[0]) >= 1 : facts.appendOnly;
  return { value: there, durable: onDisk && (copies === 0 || Number(held ?? 0) >= copies) };
}

/** What the engine refuses to wait for has not been waited for; how a connection ends is told by the others. */
function orNothing(reply: Promise<Reply>): Promise<Reply> {
  return reply.catch((error: unknown) => {
    if (isRefusal(error)) return null;
    throw error;
  });
}
