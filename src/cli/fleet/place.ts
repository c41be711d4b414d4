import { existsSync } from 'node:fs';
import { formatFault } from '../../config/fault.ts';
import { readText } from '../../config/load.ts';
import { parseConfig } from '../../config/parse.ts';
import type { Config } from '../../policy/config.ts';
import type { Fleet } from '../../policy/fleet.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';

/** A configuration that has the section. */
export interface FleetConfig {
  readonly config: Config;
  readonly fleet: Fleet;
}

/** Throws CommandFailure where the file is wrong, or this machine is alone. */
export function fleetConfig(file: string): FleetConfig {
  const found = sectionOf(file);
  if (found === undefined)
    throw new CommandFailure(
      EXIT.config,
      `${file} has no section fleet: this machine is alone (docs/fleet.md)`,
    );
  return found;
}

/** The same, or undefined where there is none: who makes users for others need not be a member. Throws as that does. */
export function fleetConfigIfAny(file: string): FleetConfig | undefined {
  return existsSync(file) ? sectionOf(file) : undefined;
}

/** Undefined: the file has no such section. */
function sectionOf(file: string): FleetConfig | undefined {
  const text = readText(file);
  const parsed = typeof text === 'string' ? parseConfig(text, file) : text;
  if (!parsed.ok) {
    for (const fault of parsed.faults.slice(1)) process.stderr.write(`${formatFault(fault)}\n`);
    const [first] = parsed.faults;
    throw new CommandFailure(EXIT.config, first === undefined ? `${file} is wrong` : formatFault(first));
  }
  const { config } = parsed;
  return config.fleet === null ? undefined : { config, fleet: config.fleet };
}
