import { milliseconds } from '../packet/time.ts';
import type { Config, Door } from '../policy/config.ts';
import { conflicts, gapMaxOf } from './cross-checks.ts';
import { readDocument } from './document.ts';
import type { DoorEntry } from './door.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import type { Fields } from './field.ts';
import { type Found, isEmpty } from './read.ts';
import { type RootShape, root } from './schema.ts';

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
      'write at least the key doors; examples/nfknock.yaml is one to begin with',
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

function configOf(file: Fields<RootShape>): Config {
  const listen = sound(file.listen);
  const log = sound(file.log);
  const decoys = sound(file.decoys);
  return {
    listen: {
      source: sound(listen.source),
      queues: sound(listen.queues),
      group: sound(listen.group),
      interfaces: items(listen.interfaces),
    },
    doors: sound(file.doors).map(doorOf),
    decoys: decoys === 'all' ? 'all' : decoys.map(sound),
    allow: items(file.allow),
    answer: sound(file.answer),
    accept: sound(file.accept),
    bans: bansOf(file),
    grants: sound(file.grants),
    memory: { sources: sound(sound(file.memory).sources) },
    state: sound(file.state),
    control: sound(file.control),
    log: {
      level: sound(log.level),
      file: sound(log.file),
      maxSize: sound(log.max_size),
      files: sound(log.files),
    },
    metrics: sound(file.metrics),
  };
}

function bansOf(file: Fields<RootShape>): Config['bans'] {
  const bans = sound(file.bans);
  const rate = sound(bans.rate);
  const length = sound(bans.for);
  return {
    strikes: sound(bans.strikes),
    within: sound(bans.within),
    for: length,
    escalate: sound(bans.escalate),
    // Where only `for` is given and longer than the default of `max`, bans simply do not grow.
    max: milliseconds(Math.max(sound(bans.max), length)),
    rate: { packets: sound(rate.packets), per: sound(rate.per) },
    never: items(bans.never),
    strikeOnService: sound(bans.strike_on_service),
    enforce: sound(bans.enforce),
    scope: sound(bans.scope),
    cut: sound(bans.cut),
    limit: sound(bans.limit),
  };
}

function doorOf({ name, fields }: DoorEntry): Door {
  const within = sound(fields.within);
  const gap = sound(fields.gap);
  const knock = sound(fields.knock);
  const forward = sound(fields.forward);
  return {
    name,
    knock: knock === null ? { oneTime: sound(fields.one_time) ?? '' } : knock.map(sound),
    within,
    gap: { min: sound(gap.min), max: milliseconds(gapMaxOf(gap.max, within)) },
    tolerate: sound(fields.tolerate),
    flags: sound(fields.flags),
    opens: items(fields.opens),
    for: sound(fields.for),
    close: items(fields.close),
    uses: sound(fields.uses),
    holders: sound(fields.holders),
    grant: sound(fields.grant),
    forward: forward === null ? null : { to: forward, dnat: sound(fields.dnat) },
    grantMark: sound(fields.grant_mark),
    onOpen: sound(fields.on_open),
    onClose: sound(fields.on_close),
  };
}
