import { createHash } from 'node:crypto';
import type { Credential, Key } from './key.ts';

/** A credential that may prove a packet: a key's present one, or the one before it was rotated. */
export interface Candidate<C extends Credential = Credential> {
  readonly key: Key;
  readonly credential: C;
  readonly by: 'present' | 'previous';
}

/** Keys of fwknop that are tried at one port: each costs a stranger's packet one HMAC. */
export const FWKNOP_KEYS_A_PORT_MAX = 32;

/** Every credential of these kinds, the present ones first. */
export function candidatesOf<K extends Credential['kind']>(
  keys: readonly Key[],
  ...kinds: readonly K[]
): readonly Candidate<Extract<Credential, { kind: K }>>[] {
  const wanted: readonly string[] = kinds;
  const isWanted = (one: Candidate): one is Candidate<Extract<Credential, { kind: K }>> =>
    wanted.includes(one.credential.kind);
  const present = keys.map((key): Candidate => ({ key, credential: key.credential, by: 'present' }));
  const previous = keys.flatMap((key): readonly Candidate[] =>
    key.previous === null ? [] : [{ key, credential: key.previous.credential, by: 'previous' }],
  );
  return [...present, ...previous].filter(isWanted);
}

/** Whether a packet at this port may be one of this key. */
export function knocksAt({ key }: Candidate, port: number): boolean {
  return key.port === null || key.port === port;
}

/** Which credentials that were rotated away are still taken. */
export interface Rotation {
  takes(candidate: Candidate, wall: number): boolean;
  /** A credential has proven a packet: the first time that a new one does, the one before it is done with. */
  proven(candidate: Candidate): void;
}

/** By which it is remembered that the credential before a key's present one is done with. Nothing secret is in it. */
export function rotationOf({ name, previous }: Key): string | undefined {
  if (previous === null) return undefined;
  return createHash('sha256').update(`rotated ${name} ${previous.until}`).digest().toString('hex', 0, 16);
}

/** `done`: what is done with, by `rotationOf`; what comes to be is added. */
export function createRotation(done: Set<string> = new Set()): Rotation {
  return {
    takes({ key, by }, wall) {
      return (
        by === 'present' ||
        (key.previous !== null && wall < key.previous.until && !done.has(rotationOf(key) ?? ''))
      );
    },
    proven({ key, by }) {
      const rotation = by === 'present' ? rotationOf(key) : undefined;
      if (rotation !== undefined) done.add(rotation);
    },
  };
}
