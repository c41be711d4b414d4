import { createHmac } from 'node:crypto';
import type { MarkPlace } from '../fleet/bus.ts';
import { lineDigest, type Once, type OnceAnswer } from '../fleet/claim.ts';
import type { Member } from '../fleet/member.ts';
import { formatAddress } from '../packet/address.ts';
import { formatPort, type PortSpec } from '../packet/port.ts';
import type { Claim, ClaimTime, Use, UsedOnce } from '../spa/used-once.ts';
import type { StateChange } from '../state/store.ts';
import type { Consumer, Consumption, GrantEvent } from './consume.ts';

/** Packets of so many minutes have their marks together, and they go together. */
const BUCKET_MINUTES = 5;
const MINUTE = 60_000;
/** Buckets for which a mark stands at least: a packet is believed for less long. */
const BUCKETS_KEPT = 3;
/** Marks of codes stand for so long, in seconds: a code is right for some minutes at most. */
const CODE_KEPT = 3_600;
const CODE_STEP = 30_000;
const MARK_BYTES = 16;
/** No door can be called so. */
const UNDATED = 'packets:of:keys';
/** The same source that was let in a moment ago, at another member, needs no complaint. */
const ALSO_HERE = 10_000;

interface OnceOptions {
  readonly member: Pick<Member, 'claim' | 'tellUsed' | 'clock'>;
  readonly secret: string;
  readonly copies: () => number;
  /** What this machine has used up all the same is kept. */
  readonly keep: (changes: readonly StateChange[]) => void;
  /** While it is asked for, what others say of the same grant waits; until what this answers is called. */
  readonly hold: (event: GrantEvent) => () => void;
  readonly answered: (answer: OnceAnswer) => void;
}

/** Used once, in the whole fleet: whoever may open asks all, and who gets no answer stays shut. */
export interface FleetOnce {
  usedOnce(own: UsedOnce): UsedOnce;
  consumer(own: Consumer): Consumer;
  digestOf(door: string, line: readonly PortSpec[]): Uint8Array;
}

/** What came of what was asked to be used once. */
export interface ClaimSums {
  readonly claims: Readonly<Record<OnceAnswer['outcome'], number>>;
  /** When it opened nothing for want of an answer, last; null: never. */
  readonly shut: { readonly at: number; readonly reason: string } | null;
}

export function createClaimTally(now: () => number): {
  add(answer: OnceAnswer): void;
  sums(): ClaimSums;
} {
  const claims = { won: 0, used: 0, shut: 0 };
  let shut: ClaimSums['shut'] = null;
  return {
    add(answer) {
      claims[answer.outcome] += 1;
      if (answer.outcome === 'shut') shut = { at: now(), reason: answer.reason };
    },
    sums: () => ({ claims, shut }),
  };
}

export function createFleetOnce(options: OnceOptions): FleetOnce {
  const { member, copies, keep, answered } = options;
  const secret = Buffer.from(options.secret, 'utf8');

  function claim(of: Pick<Once, 'mark' | 'field' | 'isKept'>, source: string): Promise<OnceAnswer> {
    return new Promise((resolve) => {
      member.claim({ ...of, copies: copies(), source: source.replaceAll(' ', '') }, (answer) => {
        answered(answer);
        resolve(answer);
      });
    });
  }

  function digestOf(door: string, line: readonly PortSpec[]): Uint8Array {
    return lineDigest(secret, door, line.map(formatPort).join(','));
  }

  const digest = (of: string): Buffer =>
    createHmac('sha256', secret).update(of).digest().subarray(0, MARK_BYTES);

  function placeOf(use: Use, { skew }: ClaimTime): { readonly mark: MarkPlace; readonly field: Uint8Array } {
    if (use.use === 'code') {
      const field = Buffer.from(String(Math.round(use.stamp / CODE_STEP)));
      return {
        mark: { of: 'code', name: digest(`code ${use.id}`).toString('hex'), seconds: CODE_KEPT },
        field,
      };
    }
    const field = digest(`spa ${use.id}`);
    // Where a packet does not say when it was made, its mark stands for ever. Its key may be called otherwise elsewhere.
    if (use.stamp === null) return { mark: { of: 'used', name: UNDATED }, field };
    const name = String(Math.floor(use.stamp / MINUTE / BUCKET_MINUTES));
    const seconds = Math.ceil((BUCKETS_KEPT * BUCKET_MINUTES * MINUTE + 2 * skew) / 1000);
    return { mark: { of: 'spa', name, seconds }, field };
  }

  async function claimLine(
    event: GrantEvent,
    line: readonly PortSpec[],
    consume: () => Consumption,
  ): Promise<Consumption> {
    const { door } = event;
    const digest = digestOf(door, line);
    const source = formatAddress(event.source);
    const release = options.hold(event);
    const once = { mark: { of: 'used', name: door }, field: digest, isKept: true } as const;
    const answer = await claim(once, source).finally(release);
    // It was on the wire: whatever the answer, it opens nothing any more.
    const own = consume();
    if (answer.outcome === 'won') {
      if (own.accepted) member.tellUsed(door, Buffer.from(digest).toString('hex'));
      return own;
    }
    if (answer.outcome === 'shut') {
      const why = `door ${door} did not open, and its line is used up: ${answer.reason}`;
      return { ...own, accepted: false, warning: `${why}; see nfknock fleet, and knock the next line` };
    }
    const { by, at } = answer;
    const isAlso = answer.source === source && Math.abs(member.clock.now() - at) < ALSO_HERE;
    const when = Number.isFinite(at) ? ` at ${new Date(at).toISOString()}` : '';
    const said = `door ${door}: this sequence was used at ${by}${when}; knock the next line`;
    return { ...own, accepted: false, warning: isAlso ? null : said };
  }

  return {
    digestOf,
    usedOnce: (own) => ({
      async claim(use, time) {
        // What this machine knows needs no answer of others; and it is used up here whatever they say.
        const mine = await own.claim(use, time);
        if (mine.outcome !== 'won') return mine;
        const answer = await claim({ ...placeOf(use, time), isKept: false }, use.source);
        if (answer.outcome === 'won') return mine;
        keep(mine.changes);
        const lost: Claim =
          answer.outcome === 'used'
            ? { outcome: 'used', by: answer.source }
            : { outcome: 'unavailable', by: null };
        return lost;
      },
    }),
    consumer: (own) => ({
      ...own,
      taskOf(event) {
        const task = own.taskOf(event);
        if (task?.when !== 'at once') return task;
        return { when: 'later', consume: () => claimLine(event, task.line, task.consume) };
      },
    }),
  };
}
