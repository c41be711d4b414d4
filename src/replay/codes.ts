import type { Command } from '../engine/command.ts';
import type { CodeKnocked, EngineEvent } from '../engine/event.ts';
import type { Config, Door } from '../policy/config.ts';
import { whyNotAdmitted } from '../spa/admit-code.ts';
import { type CodeMatch, createCodeBook } from '../spa/code.ts';
import { distanceInWords } from '../spa/distance.ts';
import { holderOf } from '../spa/key.ts';
import { wordsOf } from '../spa/refusal.ts';
import { createSeen } from '../spa/seen.ts';
import { sourceNetwork } from '../spa/source-network.ts';
import { createUsage } from '../spa/usage.ts';
import { createWrongCodes } from '../spa/wrong-codes.ts';
import type { ReplayKeyFile } from './keys.ts';

/** The codes of a replay: judged on the capture's clock, used up in memory alone. */
export interface CodeReplay {
  /** What the engine is to be told after this event, if a code was knocked. */
  after(event: EngineEvent): Command | undefined;
  /** What could not be judged, in words for people. */
  warnings(): readonly string[];
}

export function readCodes(config: Config, keys: ReplayKeyFile): CodeReplay {
  const book = createCodeBook(keys.file?.keys ?? []);
  const seen = createSeen();
  const usage = createUsage(new Map());
  const wrong = createWrongCodes();
  let unjudged = 0;

  function judge(knocked: CodeKnocked, door: Door): Command {
    const { code, source, at } = knocked;
    const verdict = book.judge({ door: door.name, code, wall: at, steps: door.codeSteps });
    if (verdict.outcome === 'right') return used(knocked, door, verdict.matches);
    const known = about(knocked);
    if (verdict.outcome === 'late') {
      const { key, behind } = verdict;
      const detail = distanceInWords(behind);
      return { ...known, reason: 'code late', holder: holderOf(key), detail, tooMany: false };
    }
    const tooMany = wrong.note(source, at, config.bans.code);
    return { ...known, reason: 'code wrong', holder: null, tooMany };
  }

  function used(knocked: CodeKnocked, door: Door, matches: readonly [CodeMatch, ...CodeMatch[]]): Command {
    const { source, port, at } = knocked;
    const knock = { source, now: at, wall: at };
    const [first] = matches;
    const admitted = matches.filter(({ key }) => whyNotAdmitted(key, knock, usage) === undefined);
    if (admitted.length === 0) {
      const reason = whyNotAdmitted(first.key, knock, usage) ?? 'limit';
      const words = wordsOf(first.key, reason, at);
      return {
        command: 'reject',
        source,
        port,
        holder: holderOf(first.key),
        reason,
        ...words,
        offence: false,
      };
    }
    for (const { key, id, stamp, proven } of admitted) {
      const use = { use: 'code', key: key.name, id, stamp, source: sourceNetwork(source) } as const;
      if (seen.decide(use, { wall: at, skew: 0 }).outcome !== 'won') continue;
      proven();
      usage.note(key, at, at);
      wrong.forgive(source);
      const opening = { door: door.name, address: source, for: door.for, holder: holderOf(key) };
      return { command: 'authorize', ...opening };
    }
    return { ...about(knocked), reason: 'code used', holder: holderOf(first.key), tooMany: false };
  }

  return {
    after(event) {
      if (event.event !== 'code.knocked') return undefined;
      const door = config.doors.find(({ name }) => name === event.door);
      if (door === undefined || keys.file !== null) return door && judge(event, door);
      unjudged += 1;
      return undefined;
    },
    warnings() {
      if (unjudged === 0 || keys.file !== null) return [];
      const codes = unjudged === 1 ? '1 one-time code was' : `${unjudged} one-time codes were`;
      return [`${codes} not judged, and opened nothing: ${keys.reason}`];
    },
  };
}

function about({ source, door, port, of }: CodeKnocked) {
  return { command: 'refuse_code', source, door, port, of } as const;
}
