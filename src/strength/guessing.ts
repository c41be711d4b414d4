import { PORT_MAX } from '../packet/port.ts';
import { takesCode } from '../policy/codes.ts';
import type { Config, Door } from '../policy/config.ts';
import { NO_ONE_TIME, policyOf, rolesAnywhere } from '../policy/port-roles.ts';
import { countPorts, portsOf, union, without } from '../policy/port-set.ts';
import { digitsOf } from '../spa/code-template.ts';

/** Ports that a step can be: every port of TCP and of UDP. */
export const PORTS_OF_A_STEP: number = 2 * PORT_MAX;
/** The many sources that a guesser is thought to have. */
export const MANY_SOURCES = 10_000;

/**
 * The cheapest way to guess a door that its configuration leaves open.
 * `exact`: every port is watched, so each try must name every step right.
 * `prefix`: a ban shows on a public port, so the steps are guessed one after the other.
 * `order`: the knock ports answer otherwise than the rest, so a scan lists them, and their order is left to guess.
 * `code`: the fixed knocks have been read, and a one-time code is left to guess; for each person whose codes open it.
 * `scan`: only some ports are watched, so a scan of all ports in random order tries an order of those alone.
 */
export type Method = 'exact' | 'prefix' | 'scan' | 'order' | 'code';

/** A scan tells the knock ports from those that nobody named. */
export interface Shown {
  /** Seconds until the chance is one half for one address that sends their orders (`orderedTime`); null: not tried. */
  readonly alone: number | null;
}

/** What a guesser of one door is up against. Times are seconds; Infinity where they are longer than a number holds. */
export interface Guessing {
  readonly method: Method;
  readonly steps: number;
  /** Sequences (or scans) that must be tried, the right one among them. */
  readonly sequences: number;
  readonly bits: number;
  /** Until the chance is one half, from one source and from MANY_SOURCES. */
  readonly alone: number;
  readonly many: number;
  /** The same from one source at the permitted rate if nobody were ever banned: what the bans are worth. */
  readonly aloneWithoutBans: number;
}

/**
 * How hard a door is to guess. `steps` is the length of its sequence (of a one-time file: of its next line). The
 * formulae and their derivation are in docs/strength.md; they agree with a simulation in the tests.
 */
export function guessing(
  door: Door,
  config: Config,
  steps: number,
  shown: Shown | null = null,
): Guessing | undefined {
  if (steps < 1) return undefined;
  if (takesCode(door)) return ofCode(door, config, steps);
  const ways = [
    exact(steps, config),
    ...(leaks(config) ? [prefix(steps, config)] : []),
    ...scan(door, config, steps),
    ...(shown === null ? [] : [order(steps)]),
  ];
  // The guesser takes the way that is through first.
  const [best] = ways.sort((a, b) => a.sequences - b.sequences);
  if (best === undefined) return undefined;
  const { method, sequences } = best;
  const tried = method === 'order' ? (shown?.alone ?? null) : null;
  return {
    method,
    steps,
    sequences,
    bits: Math.log2(sequences),
    alone: tried ?? duration(best, best.evenChance, config),
    many: manyDuration(best, config),
    aloneWithoutBans: atRate(best, best.evenChance, config),
  };
}

/**
 * Each try has the same chance, since the codes change meanwhile. Nothing tells a guesser which digits were right; what
 * he may try is what `bans.code` leaves him: one code less than a ban each time, or all of them for each ban.
 */
function ofCode(door: Door, config: Config, steps: number): Guessing {
  const digits = 'oneTime' in door.knock ? 0 : digitsOf(door.knock);
  const { back, ahead } = door.codeSteps;
  const sequences = 10 ** digits / (back + ahead + 1);
  const tries = Math.LN2 * sequences;
  const { bans } = config;
  const { wrong, per } = bans.code;
  const fastest = bans.rate.packets / steps / bans.rate.per;
  const permitted = Math.min(fastest, Math.max((wrong - 1) / per, wrong / bans.max));
  const alone = tries / (bans.enforce ? permitted : fastest) / 1000;
  return {
    method: 'code',
    steps,
    sequences,
    bits: Math.log2(sequences),
    alone,
    many: alone / MANY_SOURCES,
    aloneWithoutBans: tries / fastest / 1000,
  };
}

/** Bans beyond the limit lift older ones, so more sources than that are banned for no time at all. */
function manyDuration(way: Way, config: Config): number {
  const tries = way.evenChance / MANY_SOURCES;
  return config.bans.limit < MANY_SOURCES ? atRate(way, tries, config) : duration(way, tries, config);
}

/** The chance that one scan of all ports in random order opens the door before it is banned. */
export function scanChance(steps: number, decoys: number, strikes: number): number {
  const all = steps + decoys;
  if (steps === 1) return Math.min(1, strikes / all);
  const places = decoys + 1;
  // Anyone who meets `strikes` decoys before the first step is banned before it.
  return Math.min(1, Math.exp(logFactorial(places) - logFactorial(all)) * Math.min(1, strikes / places));
}

/** A way to guess: how many tries, what each costs. */
interface Way {
  readonly method: Method;
  readonly sequences: number;
  /** Tries until the chance is one half. */
  readonly evenChance: number;
  /** Strikes that a try costs that fails. */
  readonly strikes: number;
  /** Packets of a try that are queued, so that they count for `bans.rate`. */
  readonly packets: number;
  /** Whether a try is only worth something if its source is banned, since the ban is the answer. */
  readonly needsBan: boolean;
}

/** Neighbours in a sequence differ, so every step but the first has one port less to choose from. */
function exact(steps: number, config: Config): Way {
  const sequences = PORTS_OF_A_STEP * (PORTS_OF_A_STEP - 1) ** (steps - 1);
  const watched = config.decoys === 'all';
  return {
    method: 'exact',
    sequences,
    evenChance: sequences / 2,
    strikes: watched ? steps : 0,
    packets: steps,
    needsBan: false,
  };
}

/** Whether a ban can be seen from outside, and so tells which packet was an offence. */
export function leaks({ bans, allow, doors }: Config): boolean {
  return doors.length > 0 && bans.enforce && bans.scope === 'all' && allow.length > 0;
}

function prefix(steps: number, config: Config): Way {
  const sequences = PORTS_OF_A_STEP * steps;
  return {
    method: 'prefix',
    sequences,
    evenChance: sequences / 2,
    strikes: config.bans.strikes,
    packets: config.bans.strikes + steps,
    needsBan: true,
  };
}

/** Each order of the ports is a try, and a wrong one may be one strike alone. */
function order(steps: number): Way {
  const sequences = Math.exp(logFactorial(steps));
  return {
    method: 'order',
    sequences: Math.round(sequences),
    evenChance: Math.max(1, sequences / 2),
    strikes: 1,
    packets: steps,
    needsBan: false,
  };
}

/** Where only some ports are watched, all others can be touched for nothing. */
function scan(door: Door, config: Config, steps: number): Way[] {
  if (config.decoys === 'all') return [];
  const { own, others, decoys } = watchedBeside(door, config);
  // Ports of other doors count as if nobody watched them: what begins or advances another door leaves this one alone.
  const chance = scanChance(
    steps,
    decoys,
    config.bans.enforce ? config.bans.strikes : Number.POSITIVE_INFINITY,
  );
  const evenChance = chance >= 0.5 ? 1 : Math.log(2) / -Math.log1p(-chance);
  const packets = own + others + decoys;
  // A failed scan meets every decoy, and at least one knock port out of order.
  return [
    {
      method: 'scan',
      sequences: 1 / chance,
      evenChance,
      strikes: Math.max(1, decoys),
      packets,
      needsBan: false,
    },
  ];
}

interface WatchedPorts {
  readonly own: number;
  readonly others: number;
  readonly decoys: number;
}

/** How many ports are watched besides the door's own steps: other knock ports, and decoys. */
export function watchedBeside(door: Door, config: Config): WatchedPorts {
  const own = portsOf('oneTime' in door.knock ? [] : door.knock);
  const policy = policyOf(config, NO_ONE_TIME);
  const knocks = union(...policy.doors.map((each) => each.knocks));
  return {
    own: countPorts(own),
    others: countPorts(without(knocks, own)),
    decoys: countPorts(rolesAnywhere(policy).decoys),
  };
}

/** Seconds that one source needs for this many tries: the quicker of staying under the threshold and of sitting out bans. */
function duration(way: Way, tries: number, config: Config): number {
  const least = atRate(way, tries, config);
  if (!config.bans.enforce || way.strikes === 0) return least;
  return Math.max(least, Math.min(quietly(way, tries, config), throughBans(way, tries, config)));
}

function atRate(way: Way, tries: number, { bans }: Config): number {
  return (Math.max(0, tries - 1) * way.packets * bans.rate.per) / bans.rate.packets / 1000;
}

/** `strikes - 1` offences in each `bans.within` never lead to a ban. */
function quietly(way: Way, tries: number, { bans }: Config): number {
  const inAWindow = Math.floor((bans.strikes - 1) / way.strikes);
  if (inAWindow === 0 || way.needsBan) return Number.POSITIVE_INFINITY;
  return (Math.max(0, Math.ceil(tries / inAWindow) - 1) * bans.within) / 1000;
}

/** Between two bans fit the tries that lead to the next; ban n lasts `for × escalate^(n-1)`, at most `max`. */
function throughBans(way: Way, tries: number, { bans }: Config): number {
  const between = way.needsBan ? 1 : Math.floor((bans.strikes - 1) / way.strikes) + 1;
  const count = Math.max(0, Math.ceil(tries / between) - 1);
  let sum = 0;
  let length: number = bans.for;
  let done = 0;
  for (; done < count && length < bans.max && bans.escalate > 1; done += 1) {
    sum += length;
    length = Math.min(length * bans.escalate, bans.max);
  }
  return (sum + (count - done) * length) / 1000;
}

function logFactorial(n: number): number {
  let sum = 0;
  for (let i = 2; i <= n; i += 1) sum += Math.log(i);
  return sum;
}
