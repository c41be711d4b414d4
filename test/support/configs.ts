import { parseConfig } from '../../src/config/parse.ts';
import { type Cidr, parseCidr } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';

/** A configuration as a user would write it, parsed; throws where it is wrong. */
export function configOf(given: object): Config {
  const parsed = parseConfig(JSON.stringify(given), 'test.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}
