import type { Family } from '../packet/address.ts';
import type { Config } from '../policy/config.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import { type OneTimePorts, type Roles, rolesOf } from '../policy/port-roles.ts';
import { hasPort, type Ports } from '../policy/port-set.ts';
import type { Fate, InputDefaults } from './input-default.ts';
import { type Unseen, unseenOf } from './interfaces.ts';
import type { Listener } from './listeners.ts';
import type { Machine } from './look.ts';
import type { Process } from './proc.ts';
import type { QueueReader } from './queue-readers.ts';

/** What on this machine stands against a configuration, and what to do. */
export interface Observation {
  /** A short name for programs. */
  readonly code:
    | 'interface'
    | 'answer'
    | 'accept'
    | 'listener-closed'
    | 'queue-reader'
    | 'native-table'
    | 'no-answers'
    | 'notrack';
  /** The key of the configuration that it is about. */
  readonly key: string;
  readonly what: string;
  readonly fix: string;
}

const FAMILIES: readonly Family[] = [4, 6];
/** Where DHCP clients receive: left alone whatever is a decoy. */
const DHCP_CLIENT: readonly number[] = [68, 546];
/** Listeners that are each named; beyond that they are counted. */
const NAMED_MAX = 20;

/** All that stands against a configuration on a machine, but for who reads its queues. */
export function observationsOf(
  config: Config,
  machine: Machine,
  oneTime: OneTimePorts,
): readonly Observation[] {
  return [
    ...ofInterfaces(unseenOf(config.listen.interfaces, machine.interfaces)),
    ...ofAnswer(config, machine.inputDefaults),
    ...ofListeners(config, machine.listeners, oneTime),
  ];
}

/** Interfaces by which no packet is ever seen: the ports are open there, and knocks are not noticed. */
export function ofInterfaces(unseen: readonly Unseen[]): readonly Observation[] {
  return unseen.map((each): Observation => {
    const about = { code: 'interface', key: 'listen.interfaces' } as const;
    if (each.why === 'port') {
      const { name, master } = each;
      const what = `${name} is a port of ${master}: its packets come in as those of ${master}, so no knock is seen and nothing is protected there`;
      return { ...about, what, fix: `write ${master} instead` };
    }
    const what = `there is no interface ${each.name}: as long as it is missing no knock is seen and nothing is protected by it`;
    const every = /^(?:any|all|\*)$/i.test(each.name);
    const fix = every ? 'for every interface write []' : 'see `ip link`, or write [] for every interface';
    return { ...about, what, fix };
  });
}

/** The families in which knock ports stand out from the ports that nobody named. */
export function shownIn(
  config: Pick<Config, 'answer' | 'decoys'>,
  defaults: InputDefaults,
): readonly Family[] {
  // Where every port is a decoy they all answer alike.
  if (config.decoys === 'all') return [];
  const fits: Fate = config.answer === 'drop' ? 'DROP' : 'ACCEPT';
  return FAMILIES.filter((family) => defaults[family] !== null && defaults[family] !== fits);
}

/** Ports that answer otherwise than the rest of the machine show themselves in a scan. */
export function ofAnswer(config: Config, defaults: InputDefaults): readonly Observation[] {
  const shown = shownIn(config, defaults);
  if (shown.length === 0 || config.doors.length === 0) return [];
  const over = shown.map((family) => `IPv${family}`).join(' and ');
  const about = { code: 'answer', key: 'answer' } as const;
  if (config.answer === 'closed') {
    const what = `ports that the configuration does not name do not answer over ${over}, and the knock ports do: a scan lists them as closed, and only their order is left to guess`;
    return [{ ...about, what, fix: 'write "answer: drop", or "decoys: all", which makes all ports alike' }];
  }
  const rest = shown.some((family) => defaults[family] === 'REJECT') ? 'are rejected' : 'answer "closed"';
  const what = `ports that the configuration does not name ${rest} over ${over}, and the knock ports don't answer: a scan lists them as filtered, and only their order is left to guess`;
  const fix =
    'write "answer: closed" and "listen: { source: nflog }", or "decoys: all", or drop what nobody allowed: nfknock rules install --policy appliance';
  return [{ ...about, what, fix }];
}

/** Services that listen and that the rules close to everyone, though no door opens them. */
export function ofListeners(
  config: Config,
  listeners: readonly Listener[],
  oneTime: OneTimePorts,
): readonly Observation[] {
  const found = new Map<string, { readonly process: Process | null; readonly knock: boolean }>();
  for (const family of FAMILIES) {
    const roles = rolesOf(config, family, oneTime);
    for (const { protocol, port, families, process } of listeners) {
      if (!families.includes(family) || !isClosed(config, roles, { protocol, port })) continue;
      const knock = hasPort(roles.knocks, { protocol, port });
      found.set(`${port}/${protocol}`, {
        process: process ?? found.get(`${port}/${protocol}`)?.process ?? null,
        knock,
      });
    }
  }
  const named = [...found].sort(([a], [b]) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  const observations = named.slice(0, NAMED_MAX).map(([port, { process, knock }]): Observation => {
    const who = process === null ? 'a program' : `${process.name} (process ${process.pid})`;
    const as = knock ? 'a knock' : 'a decoy';
    const whom = !knock && isQuestion(config, port) ? 'nobody beyond its own networks' : 'nobody';
    return {
      code: 'listener-closed',
      key: 'allow',
      what: `${who} listens on ${port}, which is ${as}: ${whom} can reach it any more, and its visitors get strikes`,
      fix: `add ${port} to "allow", or stop the program`,
    };
  });
  const rest = named.slice(NAMED_MAX);
  if (rest.length === 0) return observations;
  const what = `${rest.length} more ports on which something listens are closed: ${rest
    .map(([port]) => port)
    .slice(0, NAMED_MAX)
    .join(', ')}`;
  return [
    ...observations,
    { code: 'listener-closed', key: 'allow', what, fix: 'add them to "allow", or stop the programs' },
  ];
}

/** With `decoys: all`, neighbours reach what may be a socket that waits for answers. */
function isQuestion({ decoys }: Config, text: string): boolean {
  const port = Number.parseInt(text, 10);
  return decoys === 'all' && text.endsWith('/udp') && port >= EPHEMERAL_FIRST && port <= EPHEMERAL_LAST;
}

function isClosed(
  { decoys }: Config,
  roles: Roles,
  { protocol, port }: Pick<Listener, 'protocol' | 'port'>,
): boolean {
  const has = (ports: Ports): boolean => hasPort(ports, { protocol, port });
  if (has(roles.knocks)) return true;
  // A DHCP client of one family may hold a socket of both.
  if (decoys === 'all' && protocol === 'udp' && DHCP_CLIENT.includes(port)) return false;
  return has(roles.decoys) || has(roles.traced);
}

/** Answers to this machine's own questions are struck, since the kernel can't tell them from touches. */
export function ofAnswersFault(fault: string | null): readonly Observation[] {
  if (fault === null) return [];
  const what = `devices that answer this machine's own discovery (SSDP, mDNS, WS-Discovery) are struck, since iptables's match "socket" can't be used: ${fault}`;
  return [
    {
      code: 'no-answers',
      key: 'decoys',
      what,
      fix: 'see `modprobe xt_socket`, or list decoys instead of "all"',
    },
  ];
}

/** Another program at our queue: what it accepts would be let in. `own` are processes that may hold it. */
export function ofQueueReaders(
  config: Config,
  readers: readonly QueueReader[],
  own: readonly number[],
): readonly Observation[] {
  if (config.listen.source !== 'nfqueue') return [];
  return readers
    .filter(({ process }) => process === null || !own.includes(process.pid))
    .map(({ queue, process }): Observation => {
      const who = process === null ? 'another program' : `${process.name} (process ${process.pid})`;
      return {
        code: 'queue-reader',
        key: 'listen.queues',
        what: `${who} reads queue ${queue}: nfknock gets no knock, and whatever that program accepts is let in`,
        fix: 'stop it, or give nfknock another number in listen.queues',
      };
    });
}
