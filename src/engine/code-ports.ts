import type { PortSpec } from '../packet/port.ts';
import { keyOf, PORT_KEYS, type PortKey, specOf } from '../packet/port-key.ts';

/** Knocks that are ports whose last digits are a code's. */
export interface CodePorts {
  /** The first port of the range that this one is in, which stands for all of it; any other is itself. */
  readonly first: Int32Array;
  /** By the first port: how many digits of a code it takes. */
  readonly digits: ReadonlyMap<PortKey, number>;
}

/** Null where none of the knocks is one. */
export function codePortsOf(knocks: readonly PortSpec[]): CodePorts | null {
  const codes = knocks.filter(({ digits }) => digits !== undefined);
  if (codes.length === 0) return null;
  const first = Int32Array.from({ length: PORT_KEYS }, (_, key) => key);
  for (const spec of codes) {
    const key = keyOf(spec);
    first.fill(key, key, key + 10 ** (spec.digits ?? 0));
  }
  return { first, digits: new Map(codes.map((spec) => [keyOf(spec), spec.digits ?? 0])) };
}

/** The port of a key; of one that takes digits of a code all that is ever said is which it takes. */
export function saidOf(codes: CodePorts | null, key: PortKey): PortSpec {
  const digits = codes?.digits.get(key);
  return digits === undefined ? specOf(key) : { ...specOf(key), digits };
}
