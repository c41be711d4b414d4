import { systemClock } from '../../clock.ts';
import { FirewallError } from '../../firewall/firewall.ts';
import { beginStandDown, type EndedBy, endStandDown, type TellDaemon } from '../../rollback/stand-down.ts';
import { momentOf } from '../../rollback/stood-down.ts';
import { messageOf } from '../../text/error.ts';
import { lookAtStandDown } from '../ask-daemon.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure, failed, usage } from '../failure.ts';
import { mayChange } from '../may-change.ts';
import { TELLING } from '../patience.ts';
import { here } from '../stood-down.ts';
import { untilArgument } from '../time-argument.ts';

interface StandDownOptions extends CommonOptions {
  readonly until?: string;
  readonly over?: boolean;
  /** With `--over`: only this one. */
  readonly change?: string;
}

const WITHOUT_NODE = '/usr/lib/nfknock/boot-rules over';

/** Takes every rule of ours out and keeps it out, for a time or until `--over`. */
export async function command(_args: readonly string[], options: StandDownOptions): Promise<ExitCode> {
  try {
    if (options.over === true && options.until !== undefined)
      throw usage('say --until or --over, not both: --over ends it now');
    const wanted = untilArgument(options.until, systemClock.wall());
    if (!mayChange() || process.geteuid?.() !== 0)
      throw new CommandFailure(EXIT.notPermitted, 'stand-down is not permitted: run it as root');
    // The daemon only looks at what root has written: its socket's group can't stand anything down.
    const tell = (): Promise<boolean> => lookAtStandDown(options.config);
    return options.over === true ? await end(options, tell) : await begin(options, wanted, tell);
  } catch (error) {
    if (error instanceof CommandFailure) return failed(error);
    process.stderr.write(`nfknock: ${messageOf(error)}\n`);
    const denied = error instanceof FirewallError && error.code === 'NOT_PERMITTED';
    return denied ? EXIT.notPermitted : EXIT.failed;
  }
}

async function begin(
  options: StandDownOptions,
  wanted: ReturnType<typeof untilArgument>,
  tell: TellDaemon,
): Promise<ExitCode> {
  const begun = await beginStandDown({ ...wanted, config: options.config, patience: TELLING }, here(), tell);
  const { since, until } = begun.marker;
  const back = until === null ? null : momentOf(until * 1000);
  if (options.json === true) {
    const data = { stood_down: true, since: isoOf(since), until: until === null ? null : isoOf(until) };
    process.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
    return EXIT.done;
  }
  const reboot = begun.survivesReboot
    ? 'A restart of the daemon, a reload and a reboot change nothing of that.'
    : 'A restart of the daemon and a reload change nothing of that; a reboot ends it (nothing could be written to /var/lib).';
  const lines = [
    ...(begun.rolledBack ? ['A change that waited for its confirmation was rolled back first.'] : []),
    'Stood down: every rule of nfknock is out. What it protected is open to everyone; nobody is banned.',
    back === null
      ? 'They stay out until somebody says: nfknock stand-down --over'
      : `They are back by themselves at ${back}; before that: nfknock stand-down --over`,
    `Without Node.js: ${WITHOUT_NODE}. \`nfknock rules install\` ends it, too.`,
    reboot,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return EXIT.done;
}

const ENDED: Readonly<Record<Exclude<EndedBy, 'nothing was kept'>, string>> = {
  daemon: 'the daemon has put its rules back',
  'kept rules': 'the rules of before are back; no daemon runs, so nobody is let in: systemctl start nfknock',
  'there already': 'the rules are in',
  'nothing was in':
    'no rule of nfknock was in before it, so none is put back; nfknock rules install puts them in',
};

async function end(options: StandDownOptions, tell: TellDaemon): Promise<ExitCode> {
  const by = await endStandDown(tell, options.change);
  if (by === undefined) {
    if (options.change === undefined) process.stdout.write('nfknock is not stood down\n');
    return EXIT.done;
  }
  if (by === 'nothing was kept') return await install(options);
  if (options.json === true) process.stdout.write(`${JSON.stringify({ stood_down: false }, null, 2)}\n`);
  else process.stdout.write(`No longer stood down: ${ENDED[by]}\n`);
  return EXIT.done;
}

/** It was begun without Node.js: what the configuration wants is what comes back. */
async function install({ config }: StandDownOptions): Promise<ExitCode> {
  const rules = await import('./rules.ts');
  const code = await rules.command(['install'], { config, ipv4Only: true, evenUntracked: true });
  if (code === EXIT.done) process.stdout.write('No longer stood down: the rules are installed anew\n');
  return code;
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
