import { readFileSync } from 'node:fs';
import { systemClock } from '../../clock.ts';
import { parseDuration } from '../../config/duration.ts';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { parseConfig } from '../../config/parse.ts';
import { oneTimePortsOf } from '../../daemon/hook-subject.ts';
import { FirewallError } from '../../firewall/firewall.ts';
import { openFirewall } from '../../firewall/iptables/iptables.ts';
import { armRollback, confirmRollback } from '../../firewall/iptables/rollback.ts';
import { legacyBeside } from '../../firewall/iptables/watch.ts';
import { type RuleSet, rulesFor } from '../../firewall/rules/rules.ts';
import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';

export interface RulesOptions extends CommonOptions {
  readonly policy?: string;
  readonly confirm?: string;
  readonly '4'?: boolean;
  readonly '6'?: boolean;
}

/** Where the tables of before are kept while a change waits for its confirmation. */
const RUNTIME_DIRECTORY = '/run/nfknock';
/** Names another directory, where /run/nfknock is not this user's to write. */
const RUNTIME_VARIABLE = 'NFKNOCK_RUNTIME_DIR';
/** Stands in where the configuration does not matter. */
const ANY_CONFIG = 'doors: { any: { knock: [7000, 8000, 9000], opens: [22] } }';
/** CAP_NET_ADMIN of linux/capability.h. */
const CAP_NET_ADMIN = 12n;

/** Prints, puts in, confirms or takes out the rules of a configuration. */
export async function command([action = '']: readonly string[], options: RulesOptions): Promise<ExitCode> {
  const wrong = usageFault(action, options);
  if (wrong !== undefined) return say(wrong, EXIT.usage);
  try {
    switch (action) {
      case 'print':
        return await withConfig(options, (config) => print(config, options));
      case 'install':
        return await withConfig(options, (config) => install(config, options));
      case 'remove':
        return await remove(options);
      default:
        return confirm();
    }
  } catch (error) {
    return say(error instanceof Error ? error.message : String(error), exitOf(error));
  }
}

function usageFault(action: string, { policy, confirm: time }: RulesOptions): string | undefined {
  if (!['print', 'install', 'confirm', 'remove'].includes(action)) {
    return `unknown action "${action}": print, install, confirm or remove`;
  }
  if (action !== 'install' && (policy !== undefined || time !== undefined)) {
    return `--policy and --confirm belong to \`rules install\`, not to \`rules ${action}\``;
  }
  if (policy !== undefined && policy !== 'appliance')
    return `unknown policy "${policy}": only "appliance" is known`;
  if (time !== undefined && (parseDuration(time) ?? 0) < 1000) {
    return `--confirm "${time}" is no time of a second or more: write 30s or 2m`;
  }
  return undefined;
}

async function withConfig(
  options: RulesOptions,
  use: (config: Config) => Promise<ExitCode> | ExitCode,
): Promise<ExitCode> {
  const loaded = loadConfig(options.config);
  if (loaded.ok) return await use(loaded.config);
  for (const fault of loaded.faults) process.stderr.write(`${formatFault(fault)}\n`);
  return EXIT.config;
}

function print(config: Config, options: RulesOptions): ExitCode {
  const sets = familiesOf(options).map((family) => rulesFor(config, family, oneTimePortsOf));
  process.stdout.write(
    options.json === true ? `${JSON.stringify(sets.map(asData), null, 2)}\n` : sets.map(asText).join('\n'),
  );
  return EXIT.done;
}

async function install(config: Config, options: RulesOptions): Promise<ExitCode> {
  if (!mayChange()) return notPermitted('rules install');
  const families = familiesOf(options);
  const firewall = await openFirewall({ config, now: systemClock.wall, oneTime: oneTimePortsOf, families });
  try {
    const time = options.confirm === undefined ? undefined : parseDuration(options.confirm);
    if (time !== undefined) {
      const sets = families.map((family) => rulesFor(config, family, oneTimePortsOf));
      await armRollback(directory(), sets, time);
    }
    if (options.policy === 'appliance') await firewall.installBase();
    else await firewall.install();
    const legacy = await legacyBeside();
    if (legacy !== undefined) process.stderr.write(`nfknock: warning: ${legacy}\n`);
    if (time !== undefined) {
      process.stdout.write(
        `everything is put back in ${options.confirm} unless you run: nfknock rules confirm\n`,
      );
    }
    return EXIT.done;
  } finally {
    await firewall.close();
  }
}

/** Needs no configuration: what is ours is known by its names, and a broken file must keep nobody from it. */
async function remove(options: RulesOptions): Promise<ExitCode> {
  if (!mayChange()) return notPermitted('rules remove');
  const any = parseConfig(ANY_CONFIG, 'rules remove');
  if (!any.ok) throw new Error(any.faults.map(formatFault).join('; '));
  const { config } = any;
  const firewall = await openFirewall({
    config,
    now: systemClock.wall,
    oneTime: oneTimePortsOf,
    families: familiesOf(options),
  });
  try {
    await firewall.remove();
    return EXIT.done;
  } finally {
    await firewall.close();
  }
}

function confirm(): ExitCode {
  if (!mayChange()) return notPermitted('rules confirm');
  if (confirmRollback(directory())) return EXIT.done;
  return say(
    'nothing waits for a confirmation: it was confirmed before, or all was put back; see `nfknock rules install`',
    EXIT.failed,
  );
}

function familiesOf(options: RulesOptions): readonly Family[] {
  if (options['4'] === options['6']) return [4, 6];
  return options['4'] === true ? [4] : [6];
}

/** As `iptables-restore --noflush` takes it; the sets, which must be there first, as comments. */
function asText({ family, sets, text }: RuleSet): string {
  const tool = family === 4 ? 'iptables-restore' : 'ip6tables-restore';
  return `# ${tool} --noflush\n${setCommands(sets)
    .map((line) => `# ${line}\n`)
    .join('')}${text}`;
}

function asData(rules: RuleSet): object {
  const { family, sets, chains, jumps, text } = rules;
  return { family, sets, commands: setCommands(sets), chains, jumps, text };
}

function setCommands(sets: RuleSet['sets']): readonly string[] {
  return sets.map(({ name, family, type, limit }) => {
    const inet = family === 4 ? 'inet' : 'inet6';
    return `ipset create -exist ${name} ${type} family ${inet} timeout 0 maxelem ${limit}`;
  });
}

function directory(): string {
  return process.env[RUNTIME_VARIABLE] ?? RUNTIME_DIRECTORY;
}

/** True for a process that may change the tables of its network namespace. */
function mayChange(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

function notPermitted(what: string): ExitCode {
  return say(
    `${what} is not permitted: run it as root, or with CAP_NET_ADMIN (iptables-legacy: and CAP_NET_RAW)`,
    EXIT.notPermitted,
  );
}

function exitOf(error: unknown): ExitCode {
  return error instanceof FirewallError && error.code === 'NOT_PERMITTED' ? EXIT.notPermitted : EXIT.failed;
}

function say(text: string, code: ExitCode): ExitCode {
  process.stderr.write(`nfknock: ${text}\n`);
  return code;
}
