import { type FlagRule, flagsMatch } from '../packet/flags.ts';
import { isUdp, type PortKey } from '../packet/port-key.ts';
import type { Sequence } from './ports.ts';

/*
 * Many doors may share a knock, and each packet to it is judged for all of them. What a source has made of such
 * sequences is the same for all until a packet comes that is another thing to some, or until the time of some has run
 * out: so one entry stands for them all (attempt.ts), and parts where a packet parts them (alike.ts). Here is what the
 * configuration says of it.
 */

/** Sequences that may share entries. */
export interface Kin {
  /** By their `bit`, in the order of judgement: also of those that are no members now. */
  readonly everyone: readonly Sequence[];
  /** Those that are members now, as bits. A one-time sequence is none while it has no step to come. */
  readonly all: Int32Array;
  /** Ports that are a step of some. */
  keys(): Iterable<PortKey>;
  /** The members that begin with this port. */
  firsts(key: PortKey): Int32Array | undefined;
  /** Of the members that the port is a step of, those of which it is the same steps. */
  parts(key: PortKey): readonly Int32Array[];
  /** The members whose flags a packet with these has. */
  withFlags(key: PortKey, flags: number): Int32Array;
  readonly limits: { readonly [Limit in keyof typeof LIMITS]: Ladder };
}

/** The members whose limit is less than a value, as bits; undefined: none. */
export type Ladder = (value: number) => Int32Array | undefined;

/** What a member may have less of than others. */
const LIMITS = {
  gapMax: ({ settings }: Draft): number => settings.gap.max,
  /** Negative: more of it is asked for. */
  gapMin: ({ settings }: Draft): number => -settings.gap.min,
  within: ({ within }: Draft): number => within,
  tolerate: ({ settings }: Draft): number => settings.tolerate,
};

/** A sequence before it is known which others are its kin. */
export type Draft = { -readonly [Key in keyof Sequence]: Sequence[Key] };

const NO_BITS = new Int32Array(0);
const NO_PARTS: readonly Int32Array[] = [];
const none = (): undefined => undefined;

export const NO_KIN: Kin = {
  everyone: [],
  all: NO_BITS,
  keys: () => [],
  firsts: none,
  parts: () => NO_PARTS,
  withFlags: () => NO_BITS,
  limits: { gapMax: none, gapMin: none, within: none, tolerate: none },
};

/** Words that hold a bit for each of the largest kin; 0: no sequence has any. */
export function wordsOf(kins: readonly Kin[]): number {
  return Math.max(0, ...kins.map(({ everyone }) => wordsFor(everyone.length)));
}

function wordsFor(bits: number): number {
  return Math.ceil(bits / 32);
}

/** Whether the sequence may share its entries with others as it is now. */
export function isMember({ kin, bit }: Sequence): boolean {
  return kin !== NO_KIN && hasBit(kin.all, 0, bit);
}

/** Finds those of two and more, and tells their sequences. */
export function findKins(drafts: readonly Draft[]): readonly Kin[] {
  const found = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const name = mayHaveKin(draft) ? nameOf(draft) : undefined;
    const kin = name === undefined ? undefined : found.get(name);
    if (kin !== undefined) kin.push(draft);
    else if (name !== undefined) found.set(name, [draft]);
  }
  return [...found.values()]
    .map(thatShare)
    .filter(({ length }) => length > 1)
    .map(kinOf);
}

/**
 * None for one whose first step opens already. A one-time sequence has a bit of its own whatever its steps are now, so
 * that the bits of the others stay as they are when it becomes another.
 */
function mayHaveKin({ kind, settings, steps }: Draft): boolean {
  if (kind === 'close') return steps.length > 0;
  return settings.oneTime || steps.length > 1;
}

/** Of a code the digits must be the same, since the entry has them. */
function nameOf({ kind, digits }: Draft): string {
  return [kind, digits?.join(' ')].join();
}

/** Those that share a port with another; one-time sequences may come to share any. */
function thatShare(drafts: readonly Draft[]): readonly Draft[] {
  if (drafts.some(({ kind, settings }) => kind === 'open' && settings.oneTime)) return drafts;
  const users = new Map<PortKey, number>();
  for (const { steps } of drafts) for (const key of new Set(steps)) users.set(key, (users.get(key) ?? 0) + 1);
  return drafts.filter(({ steps }) => steps.some((key) => (users.get(key) ?? 0) > 1));
}

function kinOf(drafts: readonly Draft[]): Kin {
  const words = wordsFor(drafts.length);
  const all = new Int32Array(words);
  const firsts = new Map<PortKey, Int32Array>();
  const members = new Map<PortKey, Draft[]>();
  const parts = new Map<PortKey, readonly Int32Array[]>();
  const kin: Kin = {
    everyone: drafts,
    all,
    keys: () => members.keys(),
    firsts: (key) => firsts.get(key),
    parts: (key) => {
      const there = parts.get(key) ?? partsOf(members.get(key) ?? [], key, words);
      parts.set(key, there);
      return there;
    },
    withFlags: flagsOf(drafts, all),
    limits: {
      gapMax: ladderOf(drafts, LIMITS.gapMax),
      gapMin: ladderOf(drafts, LIMITS.gapMin),
      within: ladderOf(drafts, LIMITS.within),
      tolerate: ladderOf(drafts, LIMITS.tolerate),
    },
  };
  drafts.forEach((draft, bit) => {
    const { kind, steps } = draft;
    const [first] = steps;
    draft.kin = kin;
    draft.bit = bit;
    if (first === undefined || (kind === 'open' && steps.length === 1)) return;
    setBit(all, bit);
    for (const key of new Set(steps)) {
      const users = members.get(key) ?? [];
      users.push(draft);
      members.set(key, users);
    }
    const beginning = firsts.get(first) ?? new Int32Array(words);
    setBit(beginning, bit);
    firsts.set(first, beginning);
  });
  return kin;
}

/** How many steps come after it matters too. */
function partsOf(members: readonly Draft[], key: PortKey, words: number): readonly Int32Array[] {
  const parts = new Map<string, Int32Array>();
  for (const { steps, bit } of members) {
    const name = steps.map((step) => Number(step === key)).join('');
    const part = parts.get(name) ?? new Int32Array(words);
    setBit(part, bit);
    parts.set(name, part);
  }
  return [...parts.values()];
}

function flagsOf(drafts: readonly Draft[], all: Int32Array): Kin['withFlags'] {
  const rules = new Map<string, { readonly rule: FlagRule; readonly mask: Int32Array }>();
  drafts.forEach(({ settings: { flags } }, bit) => {
    const name = `${flags.set} ${flags.clear}`;
    const same = rules.get(name) ?? { rule: flags, mask: new Int32Array(all.length) };
    setBit(same.mask, bit);
    rules.set(name, same);
  });
  const known = new Map<number, Int32Array>();
  return (key, flags) => {
    if (isUdp(key)) return all;
    const there = known.get(flags);
    if (there !== undefined) return there;
    const mask = new Int32Array(all.length);
    for (const same of rules.values()) if (flagsMatch(same.rule, flags)) addBits(mask, same.mask);
    known.set(flags, mask);
    return mask;
  };
}

function ladderOf(drafts: readonly Draft[], limitOf: (draft: Draft) => number): Ladder {
  const limits = drafts.map(limitOf);
  const rungs = [...new Set(limits)].sort((x, y) => x - y);
  const masks = rungs.map((rung) => {
    const mask = new Int32Array(wordsFor(drafts.length));
    limits.forEach((limit, bit) => {
      if (limit <= rung) setBit(mask, bit);
    });
    return mask;
  });
  return (value) => {
    let low = 0;
    for (let high = rungs.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((rungs[middle] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return masks[low - 1];
  };
}

export function setBit(mask: Int32Array, bit: number): void {
  mask[bit >> 5] = (mask[bit >> 5] ?? 0) | (1 << (bit & 31));
}

function addBits(mask: Int32Array, more: Int32Array): void {
  for (let word = 0; word < mask.length; word += 1) mask[word] = (mask[word] ?? 0) | (more[word] ?? 0);
}

/* Masks: this many words of a longer array, from a place on. */

export function hasBit(mask: Int32Array, at: number, bit: number): boolean {
  return (((mask[at + (bit >> 5)] ?? 0) >>> (bit & 31)) & 1) !== 0;
}

export function dropBit(mask: Int32Array, at: number, bit: number): void {
  mask[at + (bit >> 5)] = (mask[at + (bit >> 5)] ?? 0) & ~(1 << (bit & 31));
}

/** The first bit from `from` on, or −1. */
export function nextBit(mask: Int32Array, at: number, words: number, from: number): number {
  for (let word = from >> 5; word < words; word += 1) {
    const bits = (mask[at + word] ?? 0) & (word === from >> 5 ? -1 << (from & 31) : -1);
    if (bits !== 0) return 32 * word + 31 - Math.clz32(bits & -bits);
  }
  return -1;
}

export function countBits(mask: Int32Array, at: number, words: number): number {
  let count = 0;
  for (let word = 0; word < words; word += 1) {
    let bits = mask[at + word] ?? 0;
    bits -= (bits >>> 1) & 0x5555_5555;
    bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
    count += Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  return count;
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
