import { formatFault } from '../../config/fault.ts';
import { loadFleetSecrets } from '../../config/load-fleet.ts';
import { engineText } from '../../policy/fleet.ts';
import { printable, printableJson } from '../../text/plain.ts';
import type { FleetOptions } from '../commands/fleet.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { caOf } from './engine.ts';
import { type EngineFinding, examineEngine } from './examine.ts';
import { fleetConfig } from './place.ts';

/** Connects to the engine as this member would, and says what keeps it from being one; 1 with findings. */
export async function checkFleet({ config: file, json }: FleetOptions): Promise<ExitCode> {
  const { config, fleet } = fleetConfig(file);
  const loaded = loadFleetSecrets(fleet);
  if (!loaded.ok) throw new CommandFailure(EXIT.config, loaded.faults.map(formatFault).join('; '));
  const login = { name: fleet.name, password: loaded.secrets.password, ca: caOf(fleet) };
  const { findings, facts } = await examineEngine(fleet, login);
  const advice = config.doors.some(({ knock }) => 'oneTime' in knock || knock.length > 1) ? [ADVICE] : [];
  const engine = engineText(fleet.engine);
  const text =
    json === true
      ? printableJson(
          JSON.stringify({ ok: findings.length === 0, engine, ...facts, findings, advice }, null, 2),
        )
      : [...linesOf(engine, facts, findings), ...advice.map((each) => `advice: ${each}`)]
          .map(printable)
          .join('\n');
  process.stdout.write(`${text}\n`);
  return findings.length > 0 ? EXIT.failed : EXIT.done;
}

/** Linux's default hashes the flow label of IPv6, and each socket has its own: 15 % of sequences met one of three members. */
const ADVICE =
  'where a router of yours spreads clients over members (ECMP), let it hash by source, so that all knocks of a client come to one: sysctl net.ipv6.fib_multipath_hash_policy=3 net.ipv6.fib_multipath_hash_fields=3 (IPv4: net.ipv4.fib_multipath_hash_policy=0, which is the default)';

function linesOf(
  engine: string,
  facts: Readonly<Record<string, unknown>>,
  findings: readonly EngineFinding[],
): readonly string[] {
  const known = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`);
  return [
    `engine: ${[engine, ...known].join(', ')}`,
    ...findings.flatMap(({ code, problem, fix }) => [`problem: ${problem} (${code})`, `    fix: ${fix}`]),
    ...(findings.length === 0 ? ['No problem was found.'] : []),
  ];
}
