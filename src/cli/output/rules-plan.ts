import type { OwnPart } from '../../firewall/iptables/own-part.ts';
import { setsNamedBy } from '../../firewall/iptables/own-part.ts';
import { CHAIN } from '../../firewall/rules/names.ts';
import type { RuleSet } from '../../firewall/rules/rules.ts';
import { formatPortRange } from '../../packet/port.ts';
import type { Config } from '../../policy/config.ts';

/** One family: what stands there now, and what is to. */
export interface FamilyPlan {
  readonly before: OwnPart;
  readonly wanted: RuleSet;
}

/**
 * What `rules install` is about to change, as lines: what comes, what goes, which policies turn. Of others nothing is
 * ever touched, so that nothing of theirs is in it.
 */
export function planLines(
  plans: readonly FamilyPlan[],
  config: Config,
  policy: string | undefined,
): readonly string[] {
  const lines = plans.flatMap((plan) =>
    familyLines(plan, policy).map((line) => `IPv${plan.wanted.family}: ${line}`),
  );
  const services = [...new Set(config.doors.flatMap((door) => door.opens.map(formatPortRange)))];
  return [
    ...(lines.length === 0 ? ['nothing new: the rules that are there are installed again'] : lines),
    `closed to anyone who has no grant: ${services.join(', ')}`,
  ];
}

function familyLines({ before, wanted }: FamilyPlan, policy: string | undefined): readonly string[] {
  const there = before.chains.map(nameOf).filter((name) => !name.endsWith(` ${CHAIN.base}`));
  const based = before.chains.some(({ name }) => name === CHAIN.base);
  const base = policy === 'appliance' && !based ? [`filter ${CHAIN.base}`] : [];
  const chains = [...wanted.chains.map(nameOf), ...base];
  const jumped = before.jumps.map(({ table, from }) => `${table} ${from}`);
  const jumps = wanted.jumps.filter(({ optional }) => !optional).map(({ table, from }) => `${table} ${from}`);
  const named = setsNamedBy(before);
  const sets = wanted.sets.map(({ name }) => name);
  const { input, forward } = before.policies;
  const turns = policy === 'appliance' && (input !== 'DROP' || forward !== 'DROP');
  return [
    ...listed('new chains', missing(chains, there)),
    ...listed('new jumps, before all else, from', missing(jumps, jumped)),
    ...listed('new sets', missing(sets, named)),
    ...listed('chains that go', missing(there, chains)),
    ...listed('sets that go', missing(named, sets)),
    ...(turns
      ? [`what no rule accepts is dropped: INPUT was ${input}, FORWARD was ${forward}; both become DROP`]
      : []),
  ];
}

function nameOf({ table, name }: { readonly table: string; readonly name: string }): string {
  return `${table} ${name}`;
}

/** What is in the first and not in the second, each once. */
function missing(wanted: readonly string[], there: readonly string[]): readonly string[] {
  return [...new Set(wanted)].filter((each) => !there.includes(each));
}

function listed(what: string, names: readonly string[]): readonly string[] {
  return names.length === 0 ? [] : [`${what}: ${names.join(', ')}`];
}
