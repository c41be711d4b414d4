import { milliseconds } from '../packet/time.ts';
import type { Config, Door } from '../policy/config.ts';
import { type Camel, camelCase } from './camel-case.ts';
import { conflicts, gapMaxOf } from './cross-checks.ts';
import { readDocument } from './document.ts';
import type { DoorEntry } from './doors.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import type { Fields } from './field.ts';
import type { FleetShape } from './fleet.ts';
import { type Found, isEmpty } from './read.ts';
import { type BansShape, type RootShape, root } from './schema.ts';

export type Parsed =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * The configuration that a text holds, with every default filled in; or all its faults at once, in the order of
 * the file. `file` only names it in the faults.
 */
export function parseConfig(text: string, file: string): Parsed {
  const reading = readDocument(text, file);
  if (reading.faults.length > 0) return { ok: false, faults: inOrder(reading.faults) };
  const top = { at: 0, key: '' };
  if (isEmpty(reading.root)) {
    const problem = text.trim() === '' ? 'the file is empty' : 'the file has nothing but comments';
    reading.fault(
      { at: 0, key: WHOLE_FILE },
      problem,
      'write at least the key doors, or let "nfknock init" write it; examples/nfknock.yaml is one to begin with',
    );
    return { ok: false, faults: reading.faults };
  }
  const found = root.read(
    reading.resolve(reading.root),
    { at: reading.root?.range?.[0] ?? 0, key: top.key },
    reading,
  );
  if (found !== undefined) conflicts(found, reading);
  if (reading.faults.length > 0 || found === undefined) return { ok: false, faults: inOrder(reading.faults) };
  return { ok: true, config: configOf(found) };
}

function inOrder(faults: readonly Fault[]): Fault[] {
  const named = faults.map((fault) => (fault.key === '' ? { ...fault, key: WHOLE_FILE } : fault));
  return named.sort((a, b) => a.line - b.line || a.column - b.column);
}

/** A value of a file without faults. That it is missing cannot happen. */
function sound<T>(found: Found<T>): T {
  if (found.value === undefined)
    throw new Error(`the configuration has no fault and no value for ${found.spot.key}`);
  return found.value;
}

function items<T>(found: Found<readonly Found<T>[]>): T[] {
  return sound(found).map(sound);
}

/** Spelled out is what stands otherwise in the configuration than in the file; all else is taken as it was read. */
function configOf(file: Fields<RootShape>): Config {
  const { listen: from, doors, decoys: ports, allow, bans, memory, log, fleet, ...rest } = file;
  const listen = sound(from);
  const decoys = sound(ports);
  return {
    ...asRead(rest),
    listen: { ...asRead(listen), interfaces: items(listen.interfaces), spa: items(listen.spa) },
    doors: sound(doors).map(doorOf),
    decoys: decoys === 'all' ? 'all' : decoys.map(sound),
    allow: items(allow),
    bans: bansOf(sound(bans)),
    memory: asRead(sound(memory)),
    log: asRead(sound(log)),
    fleet: fleetOf(sound(fleet)),
  };
}

function fleetOf(fleet: Fields<FleetShape> | null): Config['fleet'] {
  if (fleet === null) return null;
  const accept = sound(fleet.accept);
  const names = <Word extends string>(
    found: Found<Word | readonly Found<string>[]>,
  ): Word | readonly string[] => {
    const value = sound(found);
    return typeof value === 'string' ? value : value.map(sound);
  };
  return {
    ...asRead(fleet),
    share: [...new Set(items(fleet.share))],
    accept: {
      ...asRead(accept),
      from: names(accept.from),
      grants: names(accept.grants),
      each: asRead(sound(accept.each)),
    },
  };
}

function bansOf(bans: Fields<BansShape>): Config['bans'] {
  const plain = asRead(bans);
  return {
    ...plain,
    // Where only `for` is given and longer than the default of `max`, bans simply do not grow.
    max: milliseconds(Math.max(plain.max, plain.for)),
    rate: asRead(sound(bans.rate)),
    code: asRead(sound(bans.code)),
    never: items(bans.never),
  };
}

function doorOf({ name, fields }: DoorEntry): Door {
  const {
    knock: steps,
    one_time: oneTime,
    gap: gaps,
    code_steps: codeSteps,
    opens,
    close,
    forward: to,
    dnat,
    ...rest
  } = fields;
  const knock = sound(steps);
  const gap = sound(gaps);
  const host = sound(to);
  const others = asRead(rest);
  return {
    ...others,
    name,
    knock: knock === null ? { oneTime: sound(oneTime) ?? '' } : knock.map(sound),
    codeSteps: asRead(sound(codeSteps)),
    gap: { min: sound(gap.min), max: milliseconds(gapMaxOf(gap.max, others.within)) },
    opens: items(opens),
    close: items(close),
    forward: host === null ? null : { to: host, dnat: sound(dnat) },
  };
}

type Values<F> = { [Key in keyof F & string as Camel<Key>]: F[Key] extends Found<infer T> ? T : never };

/** The values by their names in the configuration. */
function asRead<F extends Readonly<Record<string, Found<unknown>>>>(fields: F): Values<F> {
  const named = Object.entries(fields).map(([key, found]) => [camelCase(key), sound(found)]);
  return Object.fromEntries(named) as Values<F>;
}
