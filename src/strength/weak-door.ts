import { formatDuration } from '../config/duration.ts';
import { formatCidr } from '../packet/cidr.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import { formatPort, inRange, type PortSpec } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';
import { withinOf } from '../policy/limits.ts';
import { isCommonService } from '../policy/service-ports.ts';
import { type Warning, warning } from './warning.ts';

const HOUR = 3_600_000;
/** A network this wide is no person's. */
const WIDE_BITS = { 4: 16, 6: 32 } as const;
/** Ports in `opens` beyond which a door closes more than a service. */
const MANY_PORTS = 1024;

/** Below these, in milliseconds, a knocker far away or on a bad line does not get in, though he does nothing wrong. */
const WITHIN_LEAST = 1000;
const GAP_LEAST = 500;
const FOR_LEAST = 3000;

/** What is weak in what a door opens, for how long and for whom. */
export function ofService(door: Door, steps: readonly PortSpec[]): Warning[] {
  const key = `doors.${door.name}.opens`;
  const found: Warning[] = [];
  const both = [...steps, ...door.close].filter((step) => door.opens.some((range) => inRange(range, step)));
  if (both.length > 0) {
    found.push(
      warning(
        'service-is-knock',
        key,
        `${[...new Set(both.map(formatPort))].join(', ')} is a service and a knock of the same door, so once it is open the knock reaches the service, and a try at the service is a knock`,
        'knock on ports with nothing behind them',
      ),
    );
  }
  if (door.opens.length === 0 && door.onOpen === null && door.onClose === null) {
    found.push(
      warning(
        'opens-nothing',
        key,
        'the door opens nothing and runs nothing',
        'add the ports of the service, such as [22/tcp]',
      ),
    );
  }
  const count = door.opens.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (count > MANY_PORTS)
    found.push(
      warning(
        'opens-much',
        key,
        `${count} ports are closed to everyone without a grant`,
        'name the ports of the service alone',
      ),
    );
  if (door.for > HOUR) {
    found.push(
      warning(
        'long-grant',
        `doors.${door.name}.for`,
        `new connections are let in for ${formatDuration(door.for)} after a knock, to any user of the address by then`,
        'write 30s: established connections outlive the grant',
      ),
    );
  }
  return [...found, ...ofGrantee(door)];
}

function ofGrantee({ name, grant }: Door): Warning[] {
  const key = `doors.${name}.grant`;
  if (grant === 'any')
    return [
      warning(
        'grant-any',
        key,
        'one knock opens the door to everyone',
        'write source, or the network that needs it',
      ),
    ];
  if (grant === 'source' || grant.bits >= WIDE_BITS[grant.address.family]) return [];
  return [
    warning(
      'grant-wide',
      key,
      `one knock opens the door to all of ${formatCidr(grant)}`,
      'name a smaller network',
    ),
  ];
}

/** What makes an honest knocker fail. */
export function ofKnocker(door: Door, steps: readonly PortSpec[], config: Config): Warning[] {
  const found: Warning[] = [];
  const key = `doors.${door.name}`;
  const hidden = steps.filter(
    (step) =>
      isCommonService(step) &&
      !config.allow.some((range) => inRange(range, step)) &&
      !door.opens.some((range) => inRange(range, step)),
  );
  if (hidden.length > 0) {
    found.push(
      warning(
        'knock-on-service',
        `${key}.knock`,
        `${[...new Set(hidden.map(formatPort))].join(', ')} often lead to a service, whose visitors would be dropped and struck`,
        'if one listens there add the port to "allow", which leaves it working; else knock elsewhere',
      ),
    );
  }
  if (door.gap.min > 0) {
    found.push(
      warning(
        'gap-min',
        `${key}.gap.min`,
        `knocks less than ${formatDuration(door.gap.min)} apart are an offence, and most clients send them at once`,
        'tell your knockers to wait (knock -d), or write 0ms',
      ),
    );
  }
  const within = withinOf(door.within, steps.length);
  const [window, length, least, better] =
    within <= door.gap.max * (steps.length - 1)
      ? (['within', within, WITHIN_LEAST, '10s'] as const)
      : (['gap.max', door.gap.max, GAP_LEAST, '8s'] as const);
  if (steps.length > 1 && length < least) {
    found.push(
      warning(
        'short-window',
        `${key}.${window}`,
        `over a slow or lossy line ${steps.length} knocks do not arrive within ${formatDuration(length)}, and the attempt is over`,
        `write ${better}`,
      ),
    );
  }
  if (door.for < FOR_LEAST) {
    found.push(
      warning(
        'short-grant',
        `${key}.for`,
        `a user who does not connect within ${formatDuration(door.for)} of the last knock has to knock again; a lost first packet is sent again after a second`,
        'write 30s',
      ),
    );
  }
  if ((door.flags.set & TCP_FLAG.syn) === 0 && steps.some(({ protocol }) => protocol === 'tcp')) {
    found.push(
      warning(
        'flags-without-syn',
        `${key}.flags`,
        'no ordinary client sends such packets',
        'write syn, or knock with a tool such as hping3',
      ),
    );
  }
  return found;
}
