import { resolve } from 'node:path';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { ask } from '../../control/client.ts';
import { ControlError } from '../../control/error.ts';
import { findExempt } from '../../daemon/exemptions.ts';
import { oneTimePortsOf } from '../../daemon/hook-subject.ts';
import type { Asked } from '../../doctor/daemon.ts';
import { examine } from '../../doctor/doctor.ts';
import type { Finding } from '../../doctor/finding.ts';
import { formatAddress } from '../../packet/address.ts';
import { printable, printableJson } from '../../text/plain.ts';
import { writeDropIn } from '../drop-in.ts';
import { CONFIG_FILE, type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { namedServers } from '../fleet/servers.ts';
import { folded } from '../output/table.ts';
import { stoodDownNow } from '../stood-down.ts';

/** A daemon that says nothing for so long is not asked any more: what it would tell is left out. Milliseconds. */
const ANSWER_MS_MAX = 2_000;

interface DoctorOptions extends CommonOptions {
  readonly dropIn?: boolean;
}

/** Says what stands in the way on this machine; fails where anything does. */
export async function command(_: readonly string[], options: DoctorOptions): Promise<ExitCode> {
  const loaded = loadConfig(options.config);
  if (!loaded.ok) {
    for (const fault of loaded.faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  if (process.geteuid?.() !== 0) {
    process.stderr.write('nfknock: doctor reads the rules of the kernel: use sudo\n');
    return EXIT.notPermitted;
  }
  const { config } = loaded;
  if (options.dropIn === true) return await writeDropIn(config);
  const { everybody } = await findExempt();
  const findings = await examine({
    config,
    file: options.config,
    elsewhere: resolve(options.config) === CONFIG_FILE ? '' : resolve(options.config),
    oneTime: oneTimePortsOf,
    daemon: await askDaemon(config.control),
    gateways: everybody.map(({ address }) => formatAddress(address)),
    stoodDown: stoodDownNow(),
    servers: () => namedServers(config),
  });
  const faults = findings.filter(({ level }) => level === 'fault').length;
  const text =
    options.json === true
      ? printableJson(JSON.stringify({ ok: faults === 0, findings }, null, 2))
      : linesOf(findings, process.stdout.isTTY ? process.stdout.columns : null).join('\n');
  process.stdout.write(`${text}\n`);
  return faults > 0 ? EXIT.failed : EXIT.done;
}

async function askDaemon(path: string): Promise<Asked> {
  try {
    const { pid } = await ask(path, { command: 'status' }, ANSWER_MS_MAX);
    const sources = await ask(path, { command: 'sources' }, ANSWER_MS_MAX);
    const grants = await ask(path, { command: 'grants' }, ANSWER_MS_MAX);
    const seen = [...sources.map(({ source }) => source), ...grants.map(({ source }) => source)];
    return { pid, sources: seen };
  } catch (error) {
    return error instanceof ControlError && error.operation === 'connect' ? 'none' : 'silent';
  }
}

function linesOf(findings: readonly Finding[], width: number | null): readonly string[] {
  if (findings.length === 0) return ['No problem was found on this machine.'];
  const fold = (line: string): readonly string[] => (width === null ? [line] : folded(line, width, 9));
  return findings.flatMap(({ level, code, problem, fix }) => [
    ...fold(printable(`${`${level}:`.padEnd(9)}${problem} (${code})`)),
    ...fold(printable(`    fix: ${fix}`)),
  ]);
}
