import type { PortKey } from '../packet/port-key.ts';
import type { Sequence } from './ports.ts';

/*
 * Many doors may begin with the same knock, and each packet to it is judged for all of them. What a source has made of
 * such sequences is the same for all until a packet comes that is a different step of some: so one entry stands for
 * them all (attempt.ts), and parts where a packet parts them (alike.ts). Here is what the configuration says of it.
 */

/** Sequences with the same first step, timing, flags and patience; no two are the same. */
export interface Kin {
  /** In the order of judgement; a sequence's `bit` is its place here. */
  readonly members: readonly Sequence[];
  /** All members, as bits. */
  readonly all: Int32Array;
  /** For each port that is a step of some: the members of which it is the same steps. */
  readonly parts: ReadonlyMap<PortKey, readonly Part[]>;
}

/** Members that a packet to a port is the same to. */
export interface Part {
  readonly mask: Int32Array;
  /** Whether the port is a step of them. */
  readonly isStep: boolean;
}

/** A sequence before it is known which others are its kin. */
export type Draft = { -readonly [Key in keyof Sequence]: Sequence[Key] };

export const NO_KIN: Kin = { members: [], all: new Int32Array(0), parts: new Map() };

/** Words that hold a bit for each member of the largest kin; 0: no sequence has any. */
export function wordsOf(kins: readonly Kin[]): number {
  return Math.max(0, ...kins.map(({ members }) => Math.ceil(members.length / 32)));
}

/** Finds those of two and more, and tells their members. */
export function findKins(drafts: readonly Draft[]): readonly Kin[] {
  const found = new Map<string, Map<string, Draft>>();
  for (const draft of drafts) {
    if (!mayHaveKin(draft)) continue;
    const steps = draft.steps.join();
    // Of doors with the very same sequence each is in a kin of its own: all would open at once.
    for (let copy = 0; ; copy += 1) {
      const name = `${nameOf(draft)} ${copy}`;
      const members = found.get(name) ?? new Map<string, Draft>();
      if (members.has(steps)) continue;
      found.set(name, members.set(steps, draft));
      break;
    }
  }
  const kins = [...found.values()].filter((members) => members.size > 1);
  return kins.map((members) => kinOf([...members.values()]));
}

/**
 * None for what an entry may have to tell of one door alone: a close sequence, whose door is guarded for a while; a
 * one-time sequence, which becomes another; one whose first step opens already; one that takes a code, which is not
 * known of others.
 */
function mayHaveKin({ kind, settings, steps, digits }: Draft): boolean {
  const isPlain = !settings.oneTime && settings.close.length === 0 && digits === null;
  return kind === 'open' && isPlain && steps.length > 1;
}

function nameOf({ steps, within, settings }: Draft): string {
  const { gap, tolerate, flags } = settings;
  return [steps[0], within, gap.min, gap.max, tolerate, flags.set, flags.clear].join(' ');
}

function kinOf(members: readonly Draft[]): Kin {
  const words = Math.ceil(members.length / 32);
  const parts = new Map<PortKey, readonly Part[]>();
  for (const key of new Set(members.flatMap(({ steps }) => steps)))
    parts.set(key, partsOf(members, key, words));
  const all = new Int32Array(words);
  members.forEach((_, bit) => {
    setBit(all, bit);
  });
  const kin = { members, all, parts };
  members.forEach((member, bit) => {
    member.kin = kin;
    member.bit = bit;
  });
  return kin;
}

function partsOf(members: readonly Draft[], key: PortKey, words: number): readonly Part[] {
  const parts = new Map<string, Part>();
  members.forEach(({ steps }, bit) => {
    const isStep = steps.includes(key);
    // Where it is a step, how many come after it matters too.
    const name = isStep ? `${steps.map((step) => Number(step === key)).join('')}` : '';
    const part = parts.get(name) ?? { mask: new Int32Array(words), isStep };
    parts.set(name, part);
    setBit(part.mask, bit);
  });
  return [...parts.values()];
}

export function setBit(mask: Int32Array, bit: number): void {
  mask[bit >> 5] = (mask[bit >> 5] ?? 0) | (1 << (bit & 31));
}

/* Masks: this many words of a longer array, from a place on. */

export function hasBit(mask: Int32Array, at: number, bit: number): boolean {
  return (((mask[at + (bit >> 5)] ?? 0) >>> (bit & 31)) & 1) !== 0;
}

/** The first bit, or −1. */
export function firstBit(mask: Int32Array, at: number, words: number): number {
  for (let word = 0; word < words; word += 1) {
    const bits = mask[at + word] ?? 0;
    if (bits !== 0) return 32 * word + 31 - Math.clz32(bits & -bits);
  }
  return -1;
}

/** Of a mask that has but one bit nothing is left: who stands alone has none. */
export function clearAlone(mask: Int32Array, at: number, words: number): void {
  let seen = 0;
  for (let word = 0; word < words; word += 1) {
    const bits = mask[at + word] ?? 0;
    if (bits === 0) continue;
    if (seen !== 0 || (bits & (bits - 1)) !== 0) return;
    seen = bits;
  }
  mask.fill(0, at, at + words);
}
