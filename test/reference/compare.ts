import { createEngine } from '../../src/engine/engine.ts';
import type { Emit, EngineEvent } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { eventText, plain } from './event.ts';
import type { Late } from './late.ts';
import { play } from './model.ts';
import { type Move, moveText } from './move.ts';
import { enginePacket } from './packet.ts';
import { disorder } from './sequence.ts';
import { type EventLike, initialState, type State } from './state.ts';

export interface Disagreement {
  /** Which move they disagree about; the ends that fall due before it belong to it. */
  readonly index: number;
  readonly expected: readonly string[];
  readonly found: readonly string[];
}

/** Something that says events: the model or the engine. */
export interface Judge {
  /** Ends what is due, then judges the move. The lines of both, each in the order said. */
  play(move: Move): readonly string[];
}

type EngineUnderTest = ReturnType<typeof createEngine>;

/** Any key will do: it only scatters the tables. */
const TEST_KEY: Parameters<typeof createEngine>[1] = [0x0123_4567, 0x89ab_cdef];

export function modelJudge(settings: EngineSettings, standing?: number): Judge {
  let state = initialState(settings, standing);
  return {
    play(move) {
      const after = modelStep(state, move);
      state = after.state;
      return after.lines;
    },
  };
}

/** One move on an immutable state: what is said, and the state after it. */
export function modelStep(
  state: State,
  move: Move,
): { readonly state: State; readonly lines: readonly string[] } {
  const { ends, said, state: after, refused } = play(state, move);
  return { state: after, lines: [...lines(ends), ...lines(said), ...refused] };
}

/** A new engine to which the earlier moves have happened already. */
export function engineJudge(
  settings: EngineSettings,
  earlier: readonly Move[] = [],
  standing?: number,
): Judge {
  const sharing =
    standing === undefined ? undefined : { isOn: () => true, hears: () => true, standing: () => standing };
  const engine = createEngine(settings, TEST_KEY, sharing);
  for (const move of earlier)
    tell(
      engine,
      move,
      () => {},
      () => {},
    );
  return {
    play(move) {
      const ends: EngineEvent[] = [];
      const said: EngineEvent[] = [];
      const refused = tell(
        engine,
        move,
        (event) => ends.push(event),
        (event) => said.push(event),
      );
      const complaint = [...disorder(ends.map(plain)), ...disorder(said.map(plain))];
      return [...lines(ends.map(plain)), ...lines(said.map(plain)), ...refused, ...complaint];
    },
  };
}

function tell(engine: EngineUnderTest, move: Move, ends: Emit, said: Emit): readonly string[] {
  const now = milliseconds(move.at);
  engine.expire(now, ends);
  if ('late' in move) {
    lateIn(engine, move, said);
    return [];
  }
  if ('packet' in move) engine.judge(enginePacket(move.packet), now, said);
  if (!('command' in move)) return [];
  // As the daemon does it: a source's attempts are moved when it is next heard of.
  const lazily = move.command.command === 'reload' ? { ...move.command, most: 1e9 } : move.command;
  const answer = engine.execute(lazily, now, said);
  return answer.ok ? [] : [`refused: ${answer.reason}`];
}

function lateIn(engine: EngineUnderTest, move: Extract<Move, { readonly late: Late }>, said: Emit): void {
  const { at, packet, late: told } = move;
  const late = { ...told, came: milliseconds(told.came), origin: told.told ? 'edge2' : null };
  const done = { place: engine.place, conclude: engine.conclude, rest: engine.concludeRest }[told.how];
  done(enginePacket(packet), late, milliseconds(at), said);
}

/** The first move of the history about which the model and the engine disagree. */
export function compare(
  settings: EngineSettings,
  history: readonly Move[],
  standing?: number,
): Disagreement | undefined {
  const model = modelJudge(settings, standing);
  const engine = engineJudge(settings, [], standing);
  for (const [index, move] of history.entries()) {
    const expected = model.play(move);
    const found = engine.play(move);
    if (expected.join('\n') !== found.join('\n')) return { index, expected, found };
  }
  return undefined;
}

/** Leaves out of the history every move that the disagreement does not need. */
export function shortest(
  settings: EngineSettings,
  history: readonly Move[],
  standing?: number,
): readonly Move[] {
  const cut = (moves: readonly Move[]): readonly Move[] | undefined => {
    const disagreement = compare(settings, moves, standing);
    return disagreement === undefined ? undefined : moves.slice(0, disagreement.index + 1);
  };
  let best = cut(history) ?? history;
  for (let index = 0; index < best.length; ) {
    const fewer = cut(best.filter((_, other) => other !== index));
    if (fewer === undefined) index += 1;
    else {
      best = fewer;
      index = 0;
    }
  }
  return best;
}

/** What a person needs to see of a disagreement: the shortest way there and what each of the two says. */
export function report(settings: EngineSettings, history: readonly Move[], standing?: number): string {
  const moves = shortest(settings, history, standing);
  const disagreement = compare(settings, moves, standing);
  if (disagreement === undefined) return 'no disagreement';
  const told = modelJudge(settings, standing);
  const shown = moves.flatMap((move) => [
    `  ${moveText(move)}`,
    ...told.play(move).map((line) => `      ${line}`),
  ]);
  return [
    'The model and the engine disagree about the last of these moves.',
    ...shown,
    '  the model says:',
    ...disagreement.expected.map((line) => `    ${line}`),
    '  the engine says:',
    ...disagreement.found.map((line) => `    ${line}`),
    `  settings: ${JSON.stringify(settings)}`,
  ].join('\n');
}

/** Doors that the engine names one by one where a packet is the same to them; of more it says how many there are. */
const NAMED_MAX = 3;

/** Within one packet or one call of `expire` the order of what is said is held by `disorder`, not by the model. */
function lines(events: readonly EventLike[]): readonly string[] {
  const alike = new Map<string, { readonly texts: string[]; count: number }>();
  for (const event of events) {
    const { count, ...named } = event;
    const isKnock = event.event.startsWith('knock.');
    const { door: _door, of: _of, ...same } = named;
    const text = eventText(isKnock ? (same as EventLike) : event);
    const group = alike.get(text) ?? { texts: [], count: 0 };
    group.texts.push(eventText(isKnock ? (named as EventLike) : event));
    group.count += 1 + (isKnock ? Number(count ?? 0) : 0);
    alike.set(text, group);
  }
  const told = [...alike].flatMap(([text, { texts, count }]) =>
    count > NAMED_MAX && text.startsWith('knock.') ? [`${text} at ${count} doors`] : texts,
  );
  return told.sort();
}
