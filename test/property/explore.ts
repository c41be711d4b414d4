import { canonical } from '../reference/canonical.ts';
import { engineJudge, modelStep, report } from '../reference/compare.ts';
import type { Move } from '../reference/move.ts';
import type { RefPacket } from '../reference/packet.ts';
import { initialState, type State } from '../reference/state.ts';
import type { World } from './explore-world.ts';

/** What was seen of a world. */
export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** Every history of so many moves was tried, or one that leads to the same state. */
  readonly depth: number;
  /** Whether nothing was left to try at any depth. */
  readonly complete: boolean;
  readonly disagreement: string | undefined;
}

/** One thing that can happen: time passes, or a packet comes, as a new one or as the same again. */
type Happening = { readonly wait: number } | { readonly packet: RefPacket; readonly again: boolean };

/** A state, and the shortest history that leads there. */
interface Place {
  readonly state: State;
  readonly now: number;
  readonly moves: readonly Move[];
}

const START_MS = 1_000_000;
/** Packets that come again have this number; all others one of their own, so that none of them comes again. */
const AGAIN = 1;
const FIRST_PORT = 20_000;

/**
 * Walks every history of the world, shortest first, until `limit` transitions have been tried. Of histories that
 * lead the reference to the same state, the first is followed further. Every transition is judged by a fresh engine
 * that was led there by the same history.
 */
export function explore(world: World, limit: number): Exploration {
  const alphabet = happenings(world);
  const start: Place = { state: initialState(world.settings), now: START_MS, moves: [] };
  const seen = new Set([keyOf(start)]);
  const queue: Place[] = [start];
  let transitions = 0;
  let depth = 0;
  const result = (rest: Pick<Exploration, 'complete' | 'disagreement'>): Exploration => ({
    states: seen.size,
    transitions,
    depth,
    ...rest,
  });
  for (let index = 0; index < queue.length; index++) {
    const place = queue[index];
    if (place === undefined) break;
    depth = place.moves.length;
    if (transitions + alphabet.length > limit) return result({ complete: false, disagreement: undefined });
    for (const happening of alphabet) {
      transitions += 1;
      const next = follow(world, place, happening);
      if (typeof next === 'string') return result({ complete: false, disagreement: next });
      const key = keyOf(next);
      if (!seen.has(key)) {
        seen.add(key);
        queue.push(next);
      }
    }
  }
  return result({ complete: true, disagreement: undefined });
}

function happenings(world: World): readonly Happening[] {
  const packets = world.sources.flatMap((source) => world.packets.map((text) => packetOf(source, text)));
  return [
    ...world.waits.map((wait) => ({ wait })),
    ...packets.map((packet) => ({ packet, again: false })),
    ...packets
      .filter((packet) => packet.port === packets[0]?.port)
      .map((packet) => ({ packet, again: true })),
  ];
}

/** Where the happening leads, or the report of a disagreement about it. */
function follow(world: World, place: Place, happening: Happening): Place | string {
  const move = moveOf(place, happening);
  const after = modelStep(place.state, move);
  const found = engineJudge(world.settings, place.moves).play(move);
  const moves = [...place.moves, move];
  if (after.lines.join('\n') !== found.join('\n')) return report(world.settings, moves);
  return { state: after.state, now: move.at, moves };
}

function moveOf(place: Place, happening: Happening): Move {
  if ('wait' in happening) return { at: place.now + happening.wait, waited: true };
  const number = happening.again ? AGAIN : AGAIN + 1 + place.moves.length;
  return {
    at: place.now,
    packet: { ...happening.packet, sourcePort: FIRST_PORT + number, sequence: number },
  };
}

function packetOf(source: string, text: string): RefPacket {
  const [target = '', flags = 'S'] = text.split(' ');
  const [port, protocol] = target.split('/');
  const family = source.includes(':') ? 6 : 4;
  return {
    family,
    source,
    destination: family === 4 ? '192.0.2.1' : '2001:db8:ffff::1',
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    sourcePort: FIRST_PORT,
    port: Number(port),
    flags: protocol === 'udp' ? '' : flags,
    sequence: 0,
    stamped: true,
  };
}

/** Packets with a number of their own are forgotten: they never come again. */
function keyOf(place: Place): string {
  const comesAgain = ` ${FIRST_PORT + AGAIN} `;
  return canonical(place.state, place.now, (identity) => !identity.includes(comesAgain));
}
