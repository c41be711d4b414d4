import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { formatFault } from '../../config/fault.ts';
import { parseConfig } from '../../config/parse.ts';
import { findUser } from '../../doctor/access.ts';
import { installedUnit } from '../../doctor/unit.ts';
import type { Owner } from '../../files/write.ts';
import { parsePortRange } from '../../packet/port.ts';
import type { InitOptions } from '../commands/init.ts';
import { CONFIG_FILE, EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import type { Answers } from './answers.ts';
import { answerFor, compose, type Drawn } from './compose.ts';
import { drawPort, drawSequence } from './draw.ts';
import { timeOf } from './flags.ts';
import type { Installation } from './install.ts';
import { hasUnit } from './serve.ts';
import type { Found } from './survey.ts';

const SPARE_LINES = 5;
const SPARE_FILE = '/var/lib/nfknock/spare.sequences';
const LOG_FILE = '/var/log/nfknock/nfknock.log';

/** What will be put on the machine, with all that was drawn for it. */
export interface Prepared extends Installation {
  readonly drawn: Drawn;
  readonly keys: string;
  readonly answer: 'drop' | 'closed';
}

/** Draws, composes and reads it back; changes nothing. Throws CommandFailure. */
export function prepare(answers: Answers, found: Found, options: InitOptions): Prepared {
  const path = resolve(options.config);
  const own = path === CONFIG_FILE;
  const keys = join(dirname(path), 'keys.yaml');
  const taken = new Set(
    [...found.services.map(({ port }) => port), ...answers.opens, ...answers.allow].flatMap(numbersOf),
  );
  const knock = answers.method === 'sequence' ? { sequence: drawSequence(taken) } : { spa: drawPort(taken) };
  const lines = Array.from({ length: SPARE_LINES }, () => drawSequence(taken).join(',').replaceAll('/', ':'));
  // A key whose packets this machine's clock may refuse wants a spare that no clock is asked about.
  const listed = answers.method === 'sequence' || found.clock === 'wrong';
  const drawn = { knock, spare: listed ? { file: SPARE_FILE, lines } : null, keys: own ? null : keys };
  const answer = options.policy === 'appliance' ? 'drop' : answerFor(found.inputDefaults);
  const day = new Date(systemClock.wall()).toISOString().slice(0, 10);
  const log = hasUnit() ? '' : `log: { file: ${LOG_FILE} }\n`;
  const text = `${compose(answers, drawn, answer, day)}${log}`;
  const parsed = parseConfig(text, path);
  if (!parsed.ok) throw new CommandFailure(EXIT.config, parsed.faults.map(formatFault).join('\n'));
  const { config } = parsed;
  const owner = ownerHere(0o640);
  const spare = drawn.spare && {
    file: SPARE_FILE,
    text: `${lines.join('\n')}\n`,
    owner: ownerHere(0o600),
  };
  return {
    config: { path, text },
    control: config.control,
    owner: owner.uid === undefined ? { mode: 0o600 } : { ...owner, uid: 0 },
    spare,
    time: timeOf(options),
    ipv4Only: options.ipv4Only === true,
    appliance: options.policy === 'appliance',
    made: [config.state, config.log.file, config.control].flatMap((file) =>
      file === null ? [] : [dirname(file), file, `${file}-wal`, `${file}-shm`],
    ),
    drawn,
    keys,
    answer,
  };
}

/** The daemon's user, where there is one. */
function ownerHere(mode: number): Owner {
  const user = findUser(installedUnit()?.user ?? 'nfknock');
  const [gid] = user?.groups ?? [];
  return user === undefined || gid === undefined ? { mode: 0o600 } : { mode, uid: user.uid, gid };
}

function numbersOf(text: string): readonly number[] {
  const range = parsePortRange(text);
  return range === undefined
    ? []
    : Array.from({ length: range.last - range.first + 1 }, (_, at) => range.first + at);
}
