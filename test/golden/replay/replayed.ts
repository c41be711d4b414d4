import { parseKeyFile } from '../../../src/config/key-file.ts';
import type { ReplayKeyFile } from '../../../src/replay/keys.ts';
import { CAPTURES } from './captures.ts';
import { createOutput } from '../../../src/replay/output.ts';
import { createPrinter } from '../../../src/replay/print.ts';
import { type ReplayEnd, runReplay } from '../../../src/replay/run.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Config } from '../../../src/policy/config.ts';
import { openCapture } from '../../../src/source/pcap-input.ts';

export interface Replayed {
  readonly lines: string;
  readonly end: ReplayEnd;
}

/** The file's configuration. A one-time file that is not where it says is looked for beside it. */
export function configOf(file: string): Config {
  const parsed = loadConfig(file);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const doors = parsed.config.doors.map((door) =>
    'oneTime' in door.knock && !existsSync(door.knock.oneTime)
      ? { ...door, knock: { oneTime: join(dirname(file), basename(door.knock.oneTime)) } }
      : door,
  );
  return { ...parsed.config, doors };
}

/** The key file beside the captures, whose mode a checkout does not keep. */
function keysOf({ keys, listen }: Config): ReplayKeyFile {
  if (listen.spa.length === 0) return { file: { realms: [], keys: [] } };
  const parsed = parseKeyFile(readFileSync(join(CAPTURES, basename(keys)), 'utf8'), keys);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed;
}

/** Replays a file, or bytes given in pieces, and gives what `nfknock replay` prints. */
export async function replayed(capture: string | readonly Uint8Array[], config: Config): Promise<Replayed> {
  const stream = new PassThrough({ highWaterMark: 1 << 26 });
  const output = createOutput(stream);
  const printer = createPrinter(output);
  const pieces = typeof capture === 'string' ? [] : capture;
  async function* given(): AsyncGenerator<Uint8Array> {
    yield* pieces;
  }
  const end = await runReplay({
    input: await openCapture(typeof capture === 'string' ? capture : '-', given()),
    config,
    addresses: [],
    keys: keysOf(config),
    pace: 'look ahead',
    emit: printer.add,
    between: async () => true,
  });
  printer.end();
  await output.drained();
  const lines: unknown = stream.read();
  return { lines: lines === null ? '' : String(lines), end };
}
