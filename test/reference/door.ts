import { type Bits, bitsOf, textOf } from './address.ts';
import {
  isInTime,
  isMade,
  isNext,
  isTooSoon,
  lateness,
  letPass,
  type Moved,
  move,
  patient,
  place,
} from './attempts.ts';
import { close, open, wasHeld } from './grant.ts';
import { type Late, mayBreak, placing } from './late.ts';
import { forgive, strike } from './offence.ts';
import type { RefPacket } from './packet.ts';
import { fits, flagsFit, isAllowed, portText, type Sequence, saidPort, sequencesOf } from './port.ts';
import { attemptsOf, justCompletedWith, mayBegin, pausing, usedLast } from './standing.ts';
import {
  type Attempt,
  type EventLike,
  type Fields,
  having,
  lacking,
  type Result,
  type State,
  sequenceKey,
} from './state.ts';
import { afterProgress, afterRest, afterUntimely, afterWrong, isRest } from './tail.ts';

/** What a packet is to one sequence: the cells of the table in docs/decisions/judgement.md. */
type Meaning =
  | 'advances'
  | 'too fast'
  | 'repeat'
  | 'guarded'
  | 'begins again'
  | 'tolerated'
  | 'broken off'
  | 'expired'
  | 'begins'
  | 'unsure'
  | 'nothing';

/** Rules 6, 7, 9 and 10: a packet that is a knock for at least one door, held against every sequence. */
export function judgeKnock(before: State, packet: RefPacket, now: number, late?: Late): Result {
  const sequences = sequencesOf(before).filter((sequence) => flagsFit(sequence.door, packet));
  const meanings = sequences.map((sequence) => meaning(before, sequence, packet, now, late));
  const aside = [{ ...knockEvent(before, packet, now), event: 'knock.elsewhere' }];
  const waits = late === undefined && before.standing !== undefined;
  const is = (...some: Meaning[]): boolean => meanings.some((one) => some.includes(one));
  const untimely = is('too fast', 'expired');
  const anew = sequences.some(
    ({ steps }, index) => fits(steps[0], packet) && ['too fast', 'expired'].includes(meanings[index] ?? ''),
  );
  const forward = is('begins', 'advances') || anew;
  if (waits && forward && isHeldUp(before, sequences, meanings, packet, now))
    return { state: before, events: aside };
  const unheard = guarded(before, sequences, meanings, packet, now);
  if (!forward && !untimely) {
    if (is('repeat', 'guarded', 'begins again'))
      return {
        state: late === undefined ? beginAgain(before, sequences, packet, now) : before,
        events: unheard,
      };
    const excused = late?.how === 'rest' ? undefined : excuse(before, sequences, packet, now);
    if (excused !== undefined) return { state: before, events: excused };
    if (late === undefined && before.lastKnocks.get(bitsOf(packet.source)) === portText(packet))
      return { state: before, events: [] };
    if (waits) return { state: before, events: [...unheard, ...aside] };
  }

  const observed = isAllowed(before, packet) || late?.how === 'rest';
  const pardoned = forward || untimely || is('repeat', 'guarded', 'begins again', 'tolerated');
  const rest = !pardoned && late?.how !== 'rest' && isRest(before, sequences, packet, now);
  const offence = !observed && (is('too fast') || !(pardoned || rest));
  const reason = rest ? 'same mistake' : 'out of order';

  let state = before;
  const events: EventLike[] = [...unheard];
  const said: EventLike[] = [];
  let isLast = false;
  for (const sequence of sequences) {
    const what = meaning(state, sequence, packet, now, late);
    const inside = sequence.steps.some((step) => fits(step, packet));
    if (forward && (!inside || waits) && (what === 'broken off' || what === 'tolerated')) continue;
    said.push(...complaints(state, sequence, what, packet, now, { forward, reason }));
    const done = carryOut(state, sequence, what, packet, now, late);
    isLast ||= done.touched;
    state = done.state;
    events.push(...done.events);
  }
  if (rest) state = afterRest(state, sequences, packet, now);

  // As it was before the packet: where it opens a door too, all is forgiven only then.
  const counted = strike({ ...before, bans: new Map() }, bitsOf(packet.source), 'knock', now);
  if (offence && !is('too fast')) state = afterWrong(state, sequences, packet, now, counted.strikes);
  isLast ||= rest || (offence && !is('too fast'));
  const isNow = late === undefined || late.came === now;
  state = !isNow
    ? state
    : {
        ...state,
        lastKnocks:
          isLast || before.lastKnocks.get(bitsOf(packet.source)) === portText(packet)
            ? having(state.lastKnocks, bitsOf(packet.source), portText(packet))
            : lacking(state.lastKnocks, (key) => key === bitsOf(packet.source)),
      };
  const struck = offence ? strike(state, bitsOf(packet.source), 'knock', now) : { state, events: [] };
  const opened = events.some((event) => event.event === 'door.opened' || event.event === 'door.renewed');
  const after = opened ? { state: forgive(state, bitsOf(packet.source)).state, events: [] } : struck;
  const strikes: Fields = offence ? counted.said : {};
  for (const event of said) {
    const counts = event.event === 'knock.too_fast' || event.reason === 'out of order';
    events.push(counts ? { ...event, ...strikes } : event);
  }
  if (!observed && !pardoned && !is('broken off')) {
    events.push({ ...knockEvent(state, packet, now), event: 'knock.wrong', reason, ...strikes });
  }
  const told = events.map((event) =>
    late?.told === true && event.event === 'knock.wrong' ? { ...event, origin: 'edge2' } : event,
  );
  return { state: after.state, events: [...told, ...after.events] };
}

/** Goes on with the attempts that wait for this packet. */
export function placeKnock(before: State, packet: RefPacket, late: Late): Result {
  const now = late.came;
  const sequences = sequencesOf(before).filter((sequence) => flagsFit(sequence.door, packet));
  const meanings = sequences.map((sequence) => meaning(before, sequence, packet, now, late));
  if (isHeldUp(before, sequences, meanings, packet, now, late)) return { state: before, events: [] };
  let state = before;
  const events: EventLike[] = [];
  for (const sequence of sequences) {
    if (meaning(state, sequence, packet, now, late) !== 'advances') continue;
    const moved = place(sequence, attemptsOf(state, sequence, packet), packet, late);
    const done = progressBy(state, sequence, 'advances', moved, packet, now);
    state = done.state;
    for (const event of done.events)
      events.push(event.event === 'knock.accepted' && late.told ? { ...event, origin: 'edge2' } : event);
  }
  return { state, events };
}

/** Whether it would complete an attempt that may not complete yet. */
function isHeldUp(
  state: State,
  sequences: readonly Sequence[],
  meanings: readonly Meaning[],
  packet: RefPacket,
  now: number,
  late?: Late,
): boolean {
  const { standing } = state;
  if (standing === undefined) return false;
  return sequences.some((sequence, at) => {
    if (meanings[at] !== 'advances' || sequence.kind === 'close') return false;
    return attemptsOf(state, sequence, packet).some((attempt) => {
      if (attempt.steps !== sequence.steps.length - 1) return false;
      const isNextOne =
        late === undefined
          ? isInTime(sequence, attempt, now) &&
            isNext(sequence, attempt, packet) &&
            !isTooSoon(sequence, attempt, packet, now)
          : placing(sequence, attempt, packet, late) === 'next';
      if (!isNextOne) return false;
      const passed = attempt.tolerated + Number(late !== undefined && late.came < attempt.last);
      return (passed > 0 && late?.quiet !== true) || standing > sequence.door.tolerate;
    });
  });
}

/** What begins too soon after the door's other sequence is said, unless the packet is a step of that one. */
function guarded(
  state: State,
  sequences: readonly Sequence[],
  meanings: readonly Meaning[],
  packet: RefPacket,
  now: number,
): readonly EventLike[] {
  const goesOn = (at: number): boolean => {
    const what = meanings[at] ?? 'nothing';
    const isFirst = fits(sequences[at]?.steps[0], packet);
    return what === 'begins' || what === 'advances' || (isFirst && ['too fast', 'expired'].includes(what));
  };
  return sequences.flatMap(({ door }, at) => {
    if (meanings[at] !== 'guarded') return [];
    if (sequences.some((other, index) => other.door === door && goesOn(index))) return [];
    return [{ ...knockEvent(state, packet, now), event: 'knock.ignored', door: door.name, reason: 'guard' }];
  });
}

/** The table, cell by cell. */
function meaning(state: State, sequence: Sequence, packet: RefPacket, now: number, late?: Late): Meaning {
  const source = bitsOf(packet.source);
  const begins = fits(sequence.steps[0], packet);
  const completed = justCompletedWith(state, sequence, packet, now);
  if (pausing(state, sequence, source, now)) {
    // A line that is used up begins nothing, so nothing is held back.
    if (begins && mayBegin(state, sequence, source)) return 'guarded';
    return completed || [...sequence.steps, ...sequence.former].some((step) => fits(step, packet))
      ? 'repeat'
      : 'nothing';
  }
  const attempts = attemptsOf(state, sequence, packet);
  if (late?.how === 'place') {
    const found = attempts.map((attempt) => placing(sequence, attempt, packet, late));
    if (found.includes('next')) return 'advances';
    if (found.includes('unsure')) return 'unsure';
    return completed || found.includes('made') ? 'repeat' : 'nothing';
  }
  const live = attempts.filter((attempt) => isInTime(sequence, attempt, now));
  if (late !== undefined) {
    if (completed && late.how === 'conclude') return 'repeat';
    const there = live.filter((attempt) => mayBreak(sequence, attempt, packet, late));
    if (there.length === 0) return 'nothing';
    return there.some(({ tolerated }) => tolerated < sequence.door.tolerate) ? 'tolerated' : 'broken off';
  }
  const next = live.filter((attempt) => isNext(sequence, attempt, packet));
  if (next.some((attempt) => !isTooSoon(sequence, attempt, packet, now))) return 'advances';
  if (next.length > 0) return 'too fast';
  if (attempts.some((attempt) => isNext(sequence, attempt, packet))) return 'expired';
  if (begins && mayBegin(state, sequence, source)) {
    return live.length > 0 && live.every(({ steps }) => steps === 1) ? 'begins again' : 'begins';
  }
  if (completed || live.some((attempt) => isMade(attempt, packet))) return 'repeat';
  if (attempts.length === 0) return 'nothing';
  return live.some(({ tolerated }) => tolerated < sequence.door.tolerate) ? 'tolerated' : 'broken off';
}

/** A repeat of a first knock begins a newer attempt beside what there is, and says nothing. */
function beginAgain(before: State, sequences: readonly Sequence[], packet: RefPacket, now: number): State {
  return sequences
    .filter((sequence) => meaning(before, sequence, packet, now) === 'begins again')
    .reduce((state, sequence) => carryOut(state, sequence, 'begins again', packet, now).state, before);
}

/** What is no offence of this source: to close what it held, and a one-time sequence that has been used (said). */
function excuse(
  state: State,
  sequences: readonly Sequence[],
  packet: RefPacket,
  now: number,
): readonly EventLike[] | undefined {
  const port = portText(packet);
  const source = bitsOf(packet.source);
  for (const sequence of sequences) {
    const { name } = sequence.door;
    if (sequence.kind === 'close' && sequence.steps.includes(port) && wasHeld(state, source, name, now))
      return [];
    if (usedLast(state, sequence).includes(port)) {
      return [
        { ...knockEvent(state, packet, now), event: 'knock.ignored', door: name, reason: 'used already' },
      ];
    }
  }
  return undefined;
}

interface Word {
  readonly forward: boolean;
  readonly reason: string;
}

/** What is said of a sequence that the packet breaks off, or wears out. */
function complaints(
  state: State,
  sequence: Sequence,
  what: Meaning,
  packet: RefPacket,
  now: number,
  { forward, reason }: Word,
): readonly EventLike[] {
  const attempts = [...attemptsOf(state, sequence, packet)].sort((x, y) => y.steps - x.steps);
  const [most] = attempts;
  if (most === undefined) return [];
  const gone = attempts.find((attempt) => isNext(sequence, attempt, packet)) ?? most;
  const about = (step: number): EventLike => ({
    ...knockEvent(state, packet, now),
    event: 'knock.wrong',
    door: sequence.door.name,
    step,
    of: sequence.steps.length,
  });
  switch (what) {
    case 'too fast':
      return [{ ...about(gone.steps), event: 'knock.too_fast', reason: 'gap' }];
    case 'expired':
      return [
        { ...about(gone.steps), event: 'knock.expired', reason: lateness(sequence, gone, now) ?? 'within' },
      ];
    case 'tolerated':
      return [{ ...about(most.steps), reason: 'tolerated' }];
    case 'broken off':
      return forward ? [] : [{ ...about(most.steps), reason }];
    default:
      return [];
  }
}

/** The result, and whether the packet was a knock of this sequence that the source is known by as its last. */
interface Done extends Result {
  readonly touched: boolean;
}

/** What the packet's meaning does to the attempts, and to the door where that was the last step. */
function carryOut(
  state: State,
  sequence: Sequence,
  what: Meaning,
  packet: RefPacket,
  now: number,
  late?: Late,
): Done {
  const source = bitsOf(packet.source);
  const attempts = attemptsOf(state, sequence, packet);
  if (late !== undefined && (what === 'tolerated' || what === 'broken off')) {
    const left = letPass(sequence, attempts, packet, late, now);
    return { state: withAttempts(state, sequence, source, left), events: [], touched: what === 'tolerated' };
  }
  switch (what) {
    case 'repeat':
    case 'guarded':
    case 'unsure':
    case 'nothing':
      return { state, events: [], touched: false };
    case 'tolerated':
      return {
        state: withAttempts(state, sequence, source, patient(sequence, attempts, now)),
        events: [],
        touched: true,
      };
    case 'broken off':
      return { state: withAttempts(state, sequence, source, []), events: [], touched: false };
    case 'too fast':
    case 'expired': {
      const made = [...attempts]
        .sort((x, y) => y.steps - x.steps)
        .find((attempt) => isNext(sequence, attempt, packet));
      const without = withAttempts(state, sequence, source, []);
      const tailed = afterUntimely(without, sequence, source, made?.steps ?? 0, now);
      return fits(sequence.steps[0], packet) && mayBegin(state, sequence, source)
        ? { ...progress(tailed, sequence, 'begins', packet, now), touched: true }
        : { state: tailed, events: [], touched: true };
    }
    case 'begins':
    case 'begins again':
    case 'advances':
      return progress(state, sequence, what, packet, now);
    default:
      return what satisfies never;
  }
}

/** Says the step; the last one opens or closes the door at once. */
function progress(
  state: State,
  sequence: Sequence,
  what: 'begins' | 'begins again' | 'advances',
  packet: RefPacket,
  now: number,
): Done {
  const source = bitsOf(packet.source);
  const may = mayBegin(state, sequence, source) && !pausing(state, sequence, source, now);
  return progressBy(
    state,
    sequence,
    what,
    move(sequence, attemptsOf(state, sequence, packet), packet, now, may),
    packet,
    now,
  );
}

function progressBy(
  state: State,
  sequence: Sequence,
  what: 'begins' | 'begins again' | 'advances',
  moved: Moved,
  packet: RefPacket,
  now: number,
): Done {
  const source = bitsOf(packet.source);
  const { door, steps, kind } = sequence;
  if (moved.reached === undefined) return { state, events: [], touched: false };
  const step = { step: moved.reached, of: steps.length };
  const accepted = { ...knockEvent(state, packet, now), event: 'knock.accepted', door: door.name, ...step };
  const said = what === 'begins again' ? [] : [accepted];
  const touched = what !== 'begins again';
  const how = what === 'advances' ? 'advanced' : 'begun';
  if (moved.reached < steps.length) {
    const with_ = withAttempts(state, sequence, source, moved.attempts);
    return { state: afterProgress(with_, sequence, source, how), events: said, touched };
  }
  const done = complete(state, sequence, moved.ports, packet, now);
  const goesOn = kind === 'open' && !door.oneTime;
  const left = goesOn ? withAttempts(done.state, sequence, source, moved.unfinished) : done.state;
  return {
    state: afterProgress(left, sequence, source, how),
    events: [...said, ...done.events],
    touched,
  };
}

/** Where some steps are digits of a code, what opens is said by a command, once somebody has looked at it. */
function complete(
  state: State,
  sequence: Sequence,
  ports: readonly string[],
  packet: RefPacket,
  now: number,
): Result {
  const source = bitsOf(packet.source);
  const { door, steps, kind } = sequence;
  const code = codeIn(steps, ports);
  if (kind === 'close') return close(state, sequence, source, now);
  if (code === '') return open(state, sequence, source, now);
  const theirs = (key: string): boolean => key.startsWith(`${source} ${door.name} `);
  const key = sequenceKey(source, door.name, 'open');
  return {
    state: {
      ...state,
      attempts: lacking(state.attempts, theirs),
      openings: having(state.openings, key, { at: now, steps }),
    },
    events: [
      { ...knockEvent(state, packet, now), event: 'code.knocked', door: door.name, of: steps.length, code },
    ],
  };
}

/** What stands in the ports where the steps have `?`. */
function codeIn(steps: readonly string[], ports: readonly string[]): string {
  return steps
    .flatMap((step, index) => [...step].map((sign, at) => (sign === '?' ? (ports[index]?.[at] ?? '') : '')))
    .join('');
}

function withAttempts(state: State, sequence: Sequence, source: Bits, attempts: readonly Attempt[]): State {
  const key = sequenceKey(source, sequence.door.name, sequence.kind);
  const rest = lacking(state.attempts, (other) => other === key);
  return { ...state, attempts: attempts.length === 0 ? rest : having(rest, key, attempts) };
}

function knockEvent(
  state: State,
  packet: RefPacket,
  now: number,
): { at: number; source: string; port: string } {
  return { at: now, source: textOf(bitsOf(packet.source)), port: saidPort(state, packet) };
}
