import { parseDuration } from '../../config/duration.ts';
import { parseCidr } from '../../packet/cidr.ts';
import { isDoorName } from '../../policy/door-name.ts';
import { quoted } from '../../text/plain.ts';
import type { InitOptions } from '../commands/init.ts';
import { usage } from '../failure.ts';
import type { Answers, Method } from './answers.ts';
import { othersOf, recommended } from './answers.ts';
import { doorName, hostOf, portsOf, type Settled } from './ask.ts';
import { SPARE_DOOR } from './compose.ts';
import type { Found } from './survey.ts';

/** Until all is put back, where nothing else is asked for. */
export const WITHIN = '5m';
/** No shorter, in milliseconds. */
const TIME_MIN = 10_000;
const HOST = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/;
const METHODS: readonly string[] = ['key', 'sequence'];

/** What does not depend on what is found here: whoever wrote the flags is told at once. Throws CommandFailure. */
export function checkFlags(options: InitOptions): void {
  const { yes, confirmBy, by, ssh, host, door, policy, out } = options;
  if (yes === true && confirmBy !== 'knock' && confirmBy !== 'now')
    throw usage(
      '--yes wants to know when the change stays: --confirm-by knock (once somebody came in through the door) or --confirm-by now',
    );
  if (yes !== true && confirmBy !== undefined) throw usage('--confirm-by is for --yes: leave it out');
  if (by !== undefined && !METHODS.includes(by)) throw usage(`--by ${quoted(by)}: write key or sequence`);
  if (ssh !== undefined && by === 'sequence') throw usage('--ssh is a key: leave --by sequence out');
  if (host !== undefined && !HOST.test(host))
    throw usage(`--host ${quoted(host)} can't be a host: write the name or address that clients use`);
  if (door !== undefined && (!isDoorName(door) || door === SPARE_DOOR))
    throw usage(`--door ${quoted(door)} can't be the name of a door: write one such as ssh`);
  if (policy !== undefined && policy !== 'appliance')
    throw usage(`unknown policy ${quoted(policy)}: only "appliance" is known`);
  if (out === '' || out === '-') throw usage('--out takes the name of a file');
  timeOf(options);
}

export function timeOf({ within = WITHIN }: Pick<InitOptions, 'within'>): number {
  const time = parseDuration(within);
  if (time !== undefined && time >= TIME_MIN) return time;
  throw usage(`--within ${quoted(within)} is no time of ten seconds or more: write 5m`);
}

/** What the flags settle. Throws CommandFailure. */
export function settledBy(options: InitOptions, found: Found): Settled {
  const opens = options.opens === undefined ? undefined : portsIn(options.opens, '--opens');
  return {
    ...(opens === undefined ? {} : { opens }),
    ...(options.door === undefined ? {} : { door: options.door }),
    ...(options.allow === undefined ? {} : { allow: allowOf(options.allow, found, opens ?? found.ssh) }),
    ...(options.ssh === undefined ? {} : { method: 'ssh' as const, sshKey: options.ssh }),
    ...(options.by === undefined || options.ssh !== undefined ? {} : { method: options.by as Method }),
    ...(options.never === undefined ? {} : { never: networksIn(options.never) }),
    ...(options.host === undefined ? {} : { host: options.host }),
  };
}

/** With `--yes`: the answers that are recommended, where no flag says otherwise. Throws CommandFailure. */
export function answersBy(options: InitOptions, found: Found): Answers {
  const settled = settledBy(options, found);
  const opens = settled.opens ?? found.ssh;
  if (opens.length === 0)
    throw usage('no SSH server was found here: say what the door opens, --opens 22/tcp');
  return {
    door: settled.door ?? doorName(found, opens),
    opens,
    allow: settled.allow ?? othersOf(found, opens).map(({ port }) => port),
    method: settled.method ?? recommended(found),
    sshKey: settled.sshKey ?? null,
    never: settled.never ?? (found.session === null ? [] : [found.session.client]),
    host: settled.host ?? hostOf(found),
  };
}

function allowOf(text: string, found: Found, opens: readonly string[]): readonly string[] {
  if (text === 'none') return [];
  if (text === 'found') return othersOf(found, opens).map(({ port }) => port);
  return portsIn(text, '--allow');
}

function portsIn(text: string, flag: string): readonly string[] {
  const { ports, fault } = portsOf(text);
  if (fault !== undefined) throw usage(`${flag}: ${fault}`);
  return ports;
}

function networksIn(text: string): readonly string[] {
  if (text === 'none') return [];
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const wrong = words.find((word) => parseCidr(word) === undefined);
  if (wrong !== undefined)
    throw usage(`--never ${quoted(wrong)} is no address or network: write 192.0.2.7 or 192.0.2.0/24`);
  return words;
}
