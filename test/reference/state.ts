import type { Holder } from '../../src/engine/event.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import type { PortSpec } from '../../src/packet/port.ts';
import type { Bits } from './address.ts';

/** `7000/tcp`: the model knows ports by their text alone. */
export type PortText = string;
export type Kind = 'open' | 'close';

/** What one source has done of one sequence. */
export interface Attempt {
  readonly steps: number;
  readonly first: number;
  readonly last: number;
  readonly tolerated: number;
  /** Its last knock came to another member of a fleet. */
  readonly stray?: boolean;
  /** The ports of its knocks, as they came. */
  readonly ports: readonly PortText[];
}

/** What may still come of a mistake at one sequence without a further strike. */
export interface Tail {
  /** The steps, by their place, that are its rest. */
  readonly places: readonly number[];
  readonly at: number;
  /**
   * `second`: the second knock, struck. `swapping`: the first has come after it. `swapped`: and then the third, so two
   * knocks had overtaken each other. `other`: any other mistake.
   */
  readonly kind: 'second' | 'swapping' | 'swapped' | 'other';
  /** It was the only strike that counted, or came after mistakes that were all two knocks overtaking each other. */
  readonly alone: boolean;
}

/** A grant that has ended, and for whom. */
export interface Ended {
  readonly door: string;
  readonly grantee: Bits | 'any';
  readonly source: Bits;
  readonly at: number;
}

export interface Grant {
  readonly door: string;
  /** The network it lets in; `any` is everyone. */
  readonly grantee: Bits | 'any';
  readonly source: Bits;
  readonly since: number;
  /** The last opening or renewal. */
  readonly renewed: number;
  readonly until: number;
  readonly usesLeft: number | null;
  /** The key that it rests on. */
  readonly holder: Holder | null;
}

export interface Ban {
  /** The host that earned it; undefined where that is not known. */
  readonly source: Bits | undefined;
  readonly since: number;
  readonly until: number;
  readonly count: number;
  /** `order`: somebody wants it. */
  readonly origin: 'strikes' | 'order';
  /** The member of the fleet that said it; without: it was made here. */
  readonly from?: string | undefined;
}

/** What a one-time door has of sequences now. */
export interface OneTime {
  readonly knock: readonly PortText[];
  readonly used: boolean;
  /** The one used before, which clients may still be repeating. */
  readonly former: readonly PortText[];
}

/** That a source completed a sequence. */
export interface Opening {
  readonly at: number;
  readonly steps: readonly PortText[];
}

/** Everything the model remembers. Nothing in it is ever changed: a step makes a new one. */
export interface State {
  readonly settings: EngineSettings;
  /** How many of its packets stand aside, of each source; undefined: this machine is alone. */
  readonly standing: number | undefined;
  /** Networks exempt by order, and such as everybody may come from. */
  readonly exempt: readonly Bits[];
  readonly everybody: readonly Bits[];
  /** By IPv6 network: those of its hosts that answer for themselves, in the order in which they became known. */
  readonly hosts: ReadonlyMap<Bits, readonly Bits[]>;
  /** By the packet's identity: when it was first seen. */
  readonly seen: ReadonlyMap<string, number>;
  /** By offender. */
  readonly windows: ReadonlyMap<Bits, { readonly start: number; readonly count: number }>;
  /** By offender: when each strike was made, oldest first. */
  readonly strikes: ReadonlyMap<Bits, readonly number[]>;
  /** By source and port: when a touch of that decoy was struck. */
  readonly touches: ReadonlyMap<string, number>;
  /** By `sequenceKey`: the attempts side by side. */
  readonly attempts: ReadonlyMap<string, readonly Attempt[]>;
  /** By `sequenceKey`. */
  readonly tails: ReadonlyMap<string, Tail>;
  /** By source: the port of its last knock packet that was not ignored. */
  readonly lastKnocks: ReadonlyMap<Bits, PortText>;
  /** By `sequenceKey`: the last time that the source completed that sequence. */
  readonly openings: ReadonlyMap<string, Opening>;
  readonly grants: readonly Grant[];
  readonly ended: readonly Ended[];
  /** By offender. */
  readonly bans: ReadonlyMap<Bits, Ban>;
  /** By offender: how many bans there were, and until when that is remembered. */
  readonly histories: ReadonlyMap<Bits, { readonly count: number; readonly until: number }>;
  /** By door. */
  readonly oneTime: ReadonlyMap<string, OneTime>;
}

/** Fields of an event, each as text or number. */
export interface Fields {
  readonly [field: string]: string | number | boolean;
}

/** An event with everything in it as text or number. */
export interface EventLike extends Fields {
  readonly event: string;
  readonly at: number;
  readonly source?: string;
  readonly target?: string;
  readonly door?: string;
  readonly reason?: string;
  readonly step?: number;
  readonly of?: number;
  readonly until?: number;
  readonly strikes?: number;
}

/** What comes of a step: the state after it and what it said. */
export interface Result {
  readonly state: State;
  readonly events: readonly EventLike[];
}

export function initialState(settings: EngineSettings, standing?: number): State {
  const oneTime = settings.doors
    .filter((door) => door.oneTime)
    .map((door) => [door.name, unusedOf(door)] as const);
  return {
    settings,
    standing,
    exempt: [],
    everybody: [],
    hosts: new Map(),
    seen: new Map(),
    windows: new Map(),
    strikes: new Map(),
    touches: new Map(),
    attempts: new Map(),
    tails: new Map(),
    lastKnocks: new Map(),
    openings: new Map(),
    grants: [],
    ended: [],
    bans: new Map(),
    histories: new Map(),
    oneTime: new Map(oneTime),
  };
}

/** A sequence of a one-time door that nobody has used yet. */
export function unusedOf(door: { readonly knock: readonly PortSpec[] }): OneTime {
  return { knock: door.knock.map((spec) => `${spec.port}/${spec.protocol}`), used: false, former: [] };
}

export function sequenceKey(source: Bits, door: string, kind: Kind): string {
  return `${source} ${door} ${kind}`;
}

/** Time past since `then`. A clock that stepped back counts as standing still. */
export function age(now: number, then: number): number {
  return now > then ? now - then : 0;
}

export function having<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map([...map, [key, value]]);
}

export function lacking<K, V>(map: ReadonlyMap<K, V>, gone: (key: K) => boolean): ReadonlyMap<K, V> {
  return new Map([...map].filter(([key]) => !gone(key)));
}
