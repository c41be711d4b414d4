import { systemClock } from '../../clock.ts';
import { parseDuration } from '../../config/duration.ts';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { parseConfig } from '../../config/parse.ts';
import { oneTimePortsOf } from '../../daemon/hook-subject.ts';
import { FirewallError } from '../../firewall/firewall.ts';
import { findFamilies } from '../../firewall/iptables/families.ts';
import { openFirewall } from '../../firewall/iptables/iptables.ts';
import { familiesHere, readOwnPart } from '../../firewall/iptables/own-part.ts';
import { lookForAcceptance } from '../../firewall/iptables/read-following.ts';
import { legacyBeside } from '../../firewall/iptables/watch.ts';
import { type Layout, layoutOf, withAnswers } from '../../firewall/rules/layout.ts';
import { type RuleSet, rulesOf } from '../../firewall/rules/rules.ts';
import { findUntracked } from '../../machine/notrack/find.ts';
import { ofUntracked } from '../../machine/notrack/untracked.ts';
import { ofAnswersFault } from '../../machine/observations.ts';
import { findAnswers } from '../../machine/on-link.ts';
import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { openOverIpv6 } from '../../policy/open-over-ipv6.ts';
import { pendingChange } from '../../rollback/change.ts';
import { forgetInstalled } from '../../rollback/place.ts';
import { armRollback, keepConfirmed, noticeOf } from '../../rollback/rollback.ts';
import { forgetStoodDown } from '../../rollback/stood-down.ts';
import { messageOf } from '../../text/error.ts';
import { lookAtStandDown, putBackBy } from '../ask-daemon.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { mayChange } from '../may-change.ts';
import { type FamilyPlan, planLines } from '../output/rules-plan.ts';
import { TELLING } from '../patience.ts';
import { stoodDownNow } from '../stood-down.ts';
import { confirmFault } from '../time-argument.ts';
import { undoChange } from '../undo-change.ts';
import { confirm } from './confirm.ts';

export interface RulesOptions extends CommonOptions {
  readonly policy?: string;
  readonly confirm?: string;
  readonly '4'?: boolean;
  readonly '6'?: boolean;
  readonly ipv4Only?: boolean;
  readonly evenUntracked?: boolean;
  readonly yes?: boolean;
  readonly change?: string;
  /** Since when the change waits that these rules are part of: without it they are not installed. */
  readonly ownChange?: number;
}

/** Stands in where the configuration does not matter. */
const ANY_CONFIG = 'doors: { any: { knock: [7000, 8000, 9000], opens: [22] } }';

/** Prints, puts in, confirms, rolls back or takes out the rules of a configuration. */
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
      case 'roll-back':
        return mayChange() ? await undoChange(options.change) : notPermitted('rules roll-back');
      default:
        return await confirm(options);
    }
  } catch (error) {
    return say(messageOf(error), exitOf(error));
  }
}

const ACTIONS: readonly string[] = ['print', 'install', 'confirm', 'roll-back', 'remove'];

function usageFault(action: string, { policy, confirm: time }: RulesOptions): string | undefined {
  if (!ACTIONS.includes(action)) {
    return `unknown action "${action}": print, install, confirm, roll-back or remove`;
  }
  if (action !== 'install' && (policy !== undefined || time !== undefined)) {
    return `--policy and --confirm belong to \`rules install\`, not to \`rules ${action}\``;
  }
  if (policy !== undefined && policy !== 'appliance')
    return `unknown policy "${policy}": only "appliance" is known`;
  return time === undefined ? undefined : confirmFault(time);
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

async function print(config: Config, options: RulesOptions): Promise<ExitCode> {
  const layout = layoutHere(config);
  const sets: RuleSet[] = [];
  for (const family of familiesOf(options)) {
    const acceptance = await lookForAcceptance(layout, family);
    if (acceptance.by === 'unread') {
      const what = `IPv${family}: what follows in INPUT can't be read, so "accept: own" is assumed`;
      process.stderr.write(`nfknock: ${what}; run as root to see what is installed\n`);
    }
    sets.push(rulesOf(layout, family, acceptance));
  }
  process.stdout.write(
    options.json === true ? `${JSON.stringify(sets.map(asData), null, 2)}\n` : sets.map(asText).join('\n'),
  );
  return EXIT.done;
}

function layoutHere(config: Config): Layout {
  const plain = layoutOf(config, oneTimePortsOf);
  return config.decoys === 'all' ? withAnswers(plain, findAnswers()) : plain;
}

/** Before anything is changed. Who may not read what is there (it takes CAP_NET_RAW where sets are named) is told less. */
async function sayPlan(config: Config, families: readonly Family[], options: RulesOptions): Promise<void> {
  // A script that puts rules in is told nothing where nothing is wrong.
  if (options.confirm === undefined && !process.stdout.isTTY) return;
  const layout = layoutHere(config);
  try {
    const plans: FamilyPlan[] = [];
    for (const family of families) {
      const wanted = rulesOf(layout, family, await lookForAcceptance(layout, family));
      plans.push({ before: await readOwnPart(family), wanted });
    }
    process.stdout.write(`${planLines(plans, config, options.policy).join('\n')}\n`);
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    process.stdout.write('what is there now can not be read by this user, so what changes is not listed\n');
  }
}

async function install(config: Config, options: RulesOptions): Promise<ExitCode> {
  if (!mayChange()) return notPermitted('rules install');
  const shut = ofUntracked(await findUntracked(config, oneTimePortsOf));
  for (const { what, fix } of shut) process.stderr.write(`nfknock: ${what}; ${fix}\n`);
  if (shut.length > 0 && options.evenUntracked !== true)
    return say('nothing was changed; to close the ports all the same: --even-untracked', EXIT.failed);
  const { usable: families, fault } = await findFamilies({ config, wanted: familiesOf(options) });
  if (fault !== undefined) {
    const open = `${openOverIpv6(config)}: its rules can't be installed (${fault.message})`;
    if (options.ipv4Only !== true) return say(`${open}; fix that, or say --ipv4-only`, EXIT.failed);
    process.stderr.write(`nfknock: warning: ${open}\n`);
  }
  const firewall = await openFirewall({
    config,
    now: systemClock.wall,
    oneTime: oneTimePortsOf,
    answers: findAnswers,
    families,
  });
  try {
    const notice = options.ownChange !== undefined ? undefined : noticeOf(systemClock.wall());
    if (notice !== undefined) process.stderr.write(`nfknock: ${notice}\n`);
    await sayPlan(config, families, options);
    if (options.ownChange !== undefined && pendingChange()?.since !== options.ownChange)
      return say('no rule was installed: the change waits no more', EXIT.failed);
    if (options.confirm === undefined) await overByInstall(options.config);
    await installWithWayBack(options, () =>
      options.policy === 'appliance' ? firewall.installBase() : firewall.install(),
    );
    const { what, fix } = ofAnswersFault(firewall.answersFault())[0] ?? { what: undefined, fix: '' };
    if (what !== undefined) process.stderr.write(`nfknock: warning: ${what}; ${fix}\n`);
    const legacy = await legacyBeside();
    if (legacy !== undefined) process.stderr.write(`nfknock: warning: ${legacy}\n`);
    return EXIT.done;
  } finally {
    await firewall.close();
  }
}

/** With `--confirm` the way back is kept first; without, what is installed is what later changes fall back to. */
async function installWithWayBack(options: RulesOptions, put: () => Promise<void>): Promise<void> {
  const { confirm: time, config: path } = options;
  if (time === undefined) {
    await put();
    if (pendingChange() === undefined) keepWhereRoot(path);
    return;
  }
  const now = systemClock.wall();
  const armed = await armRollback({ path, time: parseDuration(time) ?? 0, now, patience: TELLING });
  try {
    await put();
  } catch (error) {
    await armed.cancel();
    throw error;
  }
  process.stdout.write(`nfknock's own part is rolled back in ${time} unless you run: nfknock confirm\n`);
}

/** Who installs rules wants them in. A daemon puts in its grants and bans. */
async function overByInstall(config: string): Promise<void> {
  const stoodDown = stoodDownNow() !== undefined;
  forgetStoodDown();
  if (!stoodDown) return;
  process.stderr.write('nfknock: no longer stood down: the rules are installed\n');
  await lookAtStandDown(config);
}

/** Who has no such folder has no way back either, and the rules are installed all the same. */
function keepWhereRoot(path: string): void {
  try {
    keepConfirmed(path);
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
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
    // What a family's tools could not install is not there to be taken out.
    families: familiesOf(options).filter((family) => family === 4 || familiesHere().includes(family)),
  });
  try {
    await firewall.remove();
    forgetInstalled();
    // Stood down, a daemon keeps them out.
    const warning = stoodDownNow() === undefined ? await putBackBy(options.config) : undefined;
    if (warning !== undefined) process.stderr.write(`nfknock: warning: ${warning}\n`);
    return EXIT.done;
  } finally {
    await firewall.close();
  }
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
