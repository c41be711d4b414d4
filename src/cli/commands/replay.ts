import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { loadKeys } from '../../config/load-keys.ts';
import { writeFileWhole } from '../../files/write.ts';
import { type Cidr, formatCidr, parseCidr } from '../../packet/cidr.ts';
import { formatPortRange } from '../../packet/port.ts';
import type { Config } from '../../policy/config.ts';
import type { ReplayKeyFile } from '../../replay/keys.ts';
import { createOutput, createProgress } from '../../replay/output.ts';
import { createPrinter } from '../../replay/print.ts';
import { type ReplayEnd, runReplay } from '../../replay/run.ts';
import { summaryJson, summaryTable } from '../../replay/summary.ts';
import { type Collector, createCollector } from '../../report/collect.ts';
import type { ReportData } from '../../report/data.ts';
import { openCapture } from '../../source/pcap-input.ts';
import { messageOf } from '../../text/error.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';

export interface ReplayOptions extends CommonOptions {
  readonly report?: string;
  readonly summary?: boolean;
  readonly address?: string;
}

const STANDARD_INPUT = '-';

/** Runs a capture through the engine and prints the events that the daemon would have made. */
export async function command(args: readonly string[], options: ReplayOptions): Promise<ExitCode> {
  const [file = STANDARD_INPUT] = args;
  const addresses = addressesOf(options.address);
  if (typeof addresses === 'string') return say(addresses, EXIT.usage);
  const parsed = loadConfig(options.config);
  if (!parsed.ok) {
    for (const fault of parsed.faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  try {
    // Before ten gigabytes are read, not after.
    if (options.report !== undefined) await access(dirname(options.report), constants.W_OK);
  } catch (error) {
    return say(unwritable(error), EXIT.failed);
  }
  try {
    return await replay(file, parsed.config, addresses, options);
  } catch (error) {
    return say(messageOf(error), EXIT.failed);
  }
}

async function replay(
  file: string,
  config: Config,
  addresses: readonly Cidr[],
  options: ReplayOptions,
): Promise<ExitCode> {
  const input = await openCapture(file, process.stdin);
  const output = createOutput(process.stdout);
  const progress = createProgress(process.stderr, input.size);
  const collector = options.summary === true || options.report !== undefined ? createCollector() : null;
  const printer = options.summary === true ? null : createPrinter(output);
  const end = await runReplay({
    input,
    config,
    addresses,
    keys: keysOf(config),
    pace: file === STANDARD_INPUT && addresses.length > 0 ? 'as it comes' : 'look ahead',
    emit(event) {
      collector?.add(event);
      printer?.add(event);
    },
    async between(packets) {
      if (output.waiting()) progress.clear();
      await output.drained();
      progress.at(input.position(), packets);
      return !output.gone();
    },
  });
  progress.clear();
  printer?.end();
  const name = file === STANDARD_INPUT ? 'standard input' : file;
  const data = collector === null ? null : dataOf(name, config, end, collector);
  if (data !== null && options.summary === true) {
    output.line(options.json === true ? summaryJson(data) : summaryTable(data));
  }
  await output.drained();
  if (!end.finished) return EXIT.done;
  for (const text of end.warnings) say(`${name}: ${text}`, EXIT.done);
  let code: ExitCode = end.fault === null ? EXIT.done : say(`${name}: ${end.fault}`, EXIT.failed);
  if (data !== null && options.report !== undefined && !(await writeReport(options.report, data)))
    code = EXIT.failed;
  return code;
}

/** Where it can't be read, such as without root, all else is judged, and what was not looked into is said. */
function keysOf(config: Config): ReplayKeyFile {
  const loaded = loadKeys(config);
  if (loaded.ok) return { file: loaded.file };
  const [fault] = loaded.faults;
  return { file: null, reason: fault === undefined ? 'the key file is wrong' : formatFault(fault) };
}

/** The report's code and its library are loaded only where one is asked for. */
async function writeReport(file: string, data: ReportData): Promise<boolean> {
  const { readChartLibrary, reportHtml } = await import('../../report/html.ts');
  try {
    writeFileWhole(file, Buffer.from(reportHtml(data, readChartLibrary())));
    return true;
  } catch (error) {
    say(unwritable(error), EXIT.failed);
    return false;
  }
}

function unwritable(error: unknown): string {
  const why = messageOf(error);
  return `the report can't be written: ${why}: name another file with --report`;
}

function dataOf(title: string, config: Config, end: ReplayEnd, collector: Collector): ReportData {
  const { counts, fault } = end;
  const { first, last } = counts;
  return collector.data({
    title,
    fault,
    first: Number.isNaN(first) ? null : first,
    last: Number.isNaN(last) ? null : last,
    local: end.local.map(formatCidr),
    counts: [
      ['packets', counts.packets],
      ['judged', counts.judged],
      ['malformed', counts.malformed],
      ['connected', counts.established],
    ],
    doors: config.doors.map((door) => ({ name: door.name, opens: door.opens.map(formatPortRange) })),
  });
}

/** The networks of a comma-separated list, or what is wrong with it. */
function addressesOf(text: string | undefined): readonly Cidr[] | string {
  if (text === undefined) return [];
  const networks: Cidr[] = [];
  for (const each of text.split(',')) {
    const network = parseCidr(each.trim());
    if (network === undefined) {
      return `--address: ${JSON.stringify(each.trim())} is no address: give 192.0.2.1, 2001:db8::1 or 192.0.2.0/24, separated by commas`;
    }
    networks.push(network);
  }
  return networks;
}

function say(text: string, code: ExitCode): ExitCode {
  process.stderr.write(`nfknock: ${text}\n`);
  return code;
}
