import type { Clock } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import type { CodeKnocked, CodeReason, Emit, SpaReason } from '../engine/event.ts';
import { guarded } from '../guard/guard.ts';
import type { Config } from '../policy/config.ts';
import { whyNotAdmitted } from '../spa/admit-code.ts';
import type { CodeMatch } from '../spa/code.ts';
import { distanceInWords } from '../spa/distance.ts';
import { holderOf, type Key } from '../spa/key.ts';
import { beyondHolders, wordsOf } from '../spa/refusal.ts';
import { sourceNetwork } from '../spa/source-network.ts';
import type { Claim } from '../spa/used-once.ts';
import { createWrongCodes } from '../spa/wrong-codes.ts';
import type { StateChange, Store } from '../state/store.ts';

import type { Claims } from './claim.ts';
import { gathered } from './gathered.ts';
import type { HeldKeys } from './held-keys.ts';

/*
 * What comes of a code that was knocked, whole:
 *
 *   judge ─▶ admit ─▶ claim: used once ─▶ engine: authorize ─▶ effects: durable with what was used, in force, announced
 *
 * Nothing is said of a code but whose it was: neither the log nor anything else has its digits.
 */

export interface Codes {
  /** What comes of it is under way then. */
  judge(knocked: CodeKnocked): void;
  /** What an opening has used up. */
  usedBy(event: object): readonly StateChange[];
}

export interface CodesOptions {
  readonly clock: Clock;
  readonly engine: Pick<Engine, 'execute' | 'eachGrant'>;
  readonly store: Pick<Store, 'write'>;
  readonly config: () => Config;
  readonly collect: Emit;
  readonly carryOut: () => void;
  readonly held: HeldKeys;
  readonly claims: Claims;
}

const NOTHING: readonly StateChange[] = [];

export function createCodes(options: CodesOptions): Codes {
  const { clock, engine, store, config, collect, carryOut, held, claims } = options;
  const wrong = createWrongCodes();
  const used = new WeakMap<object, readonly StateChange[]>();
  const carryOutSoon = gathered(carryOut);

  function judge(knocked: CodeKnocked): void {
    const door = config().doors.find(({ name }) => name === knocked.door);
    if (door === undefined) return;
    const wall = clock.wallOf(knocked.at);
    const steps = door.codeSteps;
    const verdict = held.codes().judge({ door: door.name, code: knocked.code, wall, steps });
    if (verdict.outcome === 'right') {
      admit(knocked, verdict.matches, wall);
    } else if (verdict.outcome === 'late') {
      const { key, behind } = verdict;
      refuse(knocked, { reason: 'code late', key, detail: distanceInWords(behind), tooMany: false });
    } else {
      const tooMany = wrong.note(knocked.source, knocked.at, config().bans.code);
      refuse(knocked, { reason: 'code wrong', key: null, tooMany });
    }
  }

  function admit(knocked: CodeKnocked, matches: readonly [CodeMatch, ...CodeMatch[]], wall: number): void {
    const { source, at } = knocked;
    const why = matches.map(({ key }) => whyNotAdmitted(key, { source, now: at, wall }, held.usage()));
    const admitted = matches.filter((_, index) => why[index] === undefined);
    const [first] = matches;
    if (admitted.length === 0) {
      reject(knocked, first.key, why[0] ?? 'limit');
      return;
    }
    let match = first;
    const claim = async (): Promise<Claim> => {
      let answer: Claim = { outcome: 'used', by: null };
      for (const each of admitted) {
        match = each;
        const { key, id, stamp } = each;
        const use = { use: 'code', key: key.name, id, stamp, source: sourceNetwork(source) } as const;
        answer = await held.usedOnce().claim(use, { wall, skew: 0 });
        if (answer.outcome !== 'used') return answer;
      }
      return answer;
    };
    claims.begin(
      claim,
      guarded('keys', (answer: Claim) => {
        if (answer.outcome === 'won') open(knocked, match, { changes: answer.changes, wall });
        else if (answer.outcome === 'unavailable' || answer.outcome === 'full')
          reject(knocked, match.key, answer.outcome);
        else refuse(knocked, { reason: 'code used', key: match.key, ...unknown(answer), tooMany: false });
      }),
    );
  }

  /** It is used up by now, whatever comes of it. */
  function open(
    knocked: CodeKnocked,
    { key: before, by, proven }: CodeMatch,
    { changes, wall }: { readonly changes: readonly StateChange[]; readonly wall: number },
  ): void {
    const { source: address, door: name, at } = knocked;
    const refused = (reason: SpaReason, all: readonly StateChange[]): void => {
      store.write(all, clock.wall(), 'machine');
      reject(knocked, before, reason);
    };
    // While it was asked whether it was used, all may have changed.
    const door = config().doors.find((each) => each.name === name);
    const key = held.still(before, by);
    if (key === undefined || door === undefined) {
      refused('expired', changes);
      return;
    }
    const why = key.doors.includes(name)
      ? whyNotAdmitted(key, { source: address, now: at, wall }, held.usage())
      : 'door';
    if (why !== undefined) {
      refused(why, changes);
      return;
    }
    proven();
    wrong.forgive(address);
    const all: readonly StateChange[] = [...changes, ...held.note(key, at, wall)];
    const emit: Emit = (event) => {
      if (event.event === 'door.opened' || event.event === 'door.renewed') used.set(event, all);
      collect(event);
    };
    const holder = holderOf(key);
    const answer = engine.execute(
      { command: 'authorize', door: name, address, for: door.for, holder },
      clock.now(),
      emit,
    );
    if (answer.ok) {
      for (const { door: other, grantee } of beyondHolders(engine.eachGrant(), key))
        engine.execute({ command: 'refuse', door: other, grantee, reason: 'moved' }, clock.now(), collect);
    } else if (answer.reason === 'everybody') {
      // That everybody may come from there has been said by the engine.
      store.write(all, clock.wall(), 'machine');
    } else {
      refused(answer.reason === 'banned' || answer.reason === 'full' ? answer.reason : 'door', all);
      return;
    }
    carryOut();
  }

  /** It was right, and its key may not open. */
  function reject({ source, port, at }: CodeKnocked, key: Key, reason: SpaReason): void {
    const holder = holderOf(key);
    const about = { source, port, holder, reason, offence: false };
    const words = wordsOf(key, reason, clock.wallOf(at));
    engine.execute({ command: 'reject', ...about, ...words }, at, collect);
    carryOutSoon();
  }

  function refuse(knocked: CodeKnocked, refusal: Refusal): void {
    const { source, door, port, of } = knocked;
    const { reason, key, detail, tooMany } = refusal;
    const holder = key === null ? null : holderOf(key);
    const said = { reason, holder, ...(detail === undefined ? {} : { detail }), tooMany };
    // At the moment of the knock, with which it is explained.
    engine.execute({ command: 'refuse_code', source, door, port, of, ...said }, knocked.at, collect);
    carryOutSoon();
  }

  return { judge, usedBy: (event) => used.get(event) ?? NOTHING };
}

/** Where the state was lost, what has been used before the start is not known. */
function unknown({ outcome }: Claim): { detail?: string } {
  return outcome === 'old'
    ? { detail: 'it was shown before the start, and what was used then is not known' }
    : {};
}

interface Refusal {
  readonly reason: CodeReason;
  readonly key: Key | null;
  readonly detail?: string;
  readonly tooMany: boolean;
}
