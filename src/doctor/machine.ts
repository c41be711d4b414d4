import { type Finding, fault, warning } from './finding.ts';

export interface Clock {
  /** Undefined: nothing here tells. */
  readonly synchronised: boolean | undefined;
  readonly realTimeClock: boolean;
}

export function ofClock({ synchronised, realTimeClock }: Clock): readonly Finding[] {
  if (synchronised !== false) return [];
  const battery = realTimeClock ? '' : ', and there is no real-time clock: after a boot it shows the past';
  const problem = `the clock is not synchronised${battery}`;
  const fix =
    'run systemd-timesyncd or chrony; until then no grant survives a reboot, and bans and grants may last too long';
  return [warning('clock', problem, fix)];
}

export interface Boot {
  /** Whether the daemon's unit is started at boot. */
  readonly daemon: boolean;
  /** Whether the unit that lays the rules before the network is. */
  readonly rules: boolean;
  /** Files that lay saved rules at boot and name ours. */
  readonly saved: readonly string[];
}

export function ofBoot({ daemon, rules, saved }: Boot): readonly Finding[] {
  const found: Finding[] = [];
  if (daemon && !rules) {
    const problem =
      'at boot the protected ports are open until the daemon is up: nfknock-rules.service is not enabled';
    found.push(warning('boot-order', problem, 'systemctl enable nfknock-rules.service'));
  }
  for (const file of saved) {
    const problem = `${file} holds nfknock's own rules: at boot they are installed as they were when it was saved, or the whole file is refused`;
    found.push(
      fault(
        'saved-rules',
        problem,
        `take the lines with NFKNOCK or nfknock- out of it, for example: sed -i '/nfknock/Id' ${file}`,
      ),
    );
  }
  return found;
}

/** Addresses that packets of everybody come from where something in front rewrites them. */
export function ofEverybody(sources: readonly string[], gateways: readonly string[]): readonly Finding[] {
  const seen = gateways.filter((gateway) => sources.includes(gateway));
  if (seen.length === 0) return [];
  const problem = `packets come from ${seen.join(', ')}, a gateway or name server: something in front of this machine rewrites addresses, and everyone looks alike`;
  const fix =
    'let the router forward without source NAT ("masquerade"); until then one knock opens for all, and nobody can be banned';
  return [warning('one-address', problem, fix)];
}
