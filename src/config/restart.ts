import type { Config } from '../policy/config.ts';
import { camelCase } from './camel-case.ts';
import type { Shape } from './field.ts';
import { root } from './schema.ts';

/** The keys that a running daemon does not take at a reload, as in the file: `log.max_size`. */
export const RESTART_KEYS: readonly string[] = keysOf(root.shape ?? {});

/** Those of them whose values differ. */
export function needRestart(before: Config, after: Config): readonly string[] {
  return RESTART_KEYS.filter(
    (key) => JSON.stringify(settingAt(before, key)) !== JSON.stringify(settingAt(after, key)),
  );
}

/** The value of a key. */
export function settingAt(config: Config, key: string): unknown {
  return key.split('.').reduce<unknown>((value, name) => {
    // A section that is not there has none of its keys.
    if (value === null) return null;
    return typeof value === 'object' ? Reflect.get(value, camelCase(name)) : undefined;
  }, config);
}

function keysOf(shape: Shape): string[] {
  return Object.entries(shape).flatMap(([name, { shape: below, changes }]) => {
    if (below !== undefined) return keysOf(below).map((key) => `${name}.${key}`);
    return changes === 'restart' ? [name] : [];
  });
}
