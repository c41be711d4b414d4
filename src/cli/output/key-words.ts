import { systemClock } from '../../clock.ts';
import { formatDuration } from '../../config/duration.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { Key } from '../../spa/key.ts';

/** What a key is held to, in words. */
export function keyLimits(key: Key): readonly string[] {
  const { address, from, to, port, expires, uses, holders, forMax, previous } = key;
  return [
    ...(isPast(expires) ? ['EXPIRED'] : expires === null ? [] : [`until ${timeText(expires)}`]),
    ...(address === 'required' ? ['must name an address'] : []),
    ...(from.length === 0 ? [] : [`from ${from.map(formatCidr).join(' ')}`]),
    ...(to.length === 0 ? [] : [`to ${to.map(formatCidr).join(' ')}`]),
    ...(port === null ? [] : [`at ${port}/udp`]),
    ...(uses === null ? [] : [`${uses} uses`]),
    ...(holders === null ? [] : [`${holders} grants at once`]),
    ...(forMax === null ? [] : [`at most ${formatDuration(forMax)}`]),
    ...(previous === null || isPast(previous.until)
      ? []
      : [`the one before until ${timeText(previous.until)}`]),
  ];
}

export function isPast(moment: number | null): boolean {
  return moment !== null && moment <= systemClock.wall();
}

export function timeText(moment: number | null): string | null {
  return moment === null ? null : new Date(moment).toISOString().replace('.000Z', 'Z');
}
