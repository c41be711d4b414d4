import { formatPortRange } from '../packet/port.ts';
import type { Config } from './config.ts';

/** What is open where IPv6 is not guarded, in words: `port 22 is open over IPv6`. */
export function openOverIpv6({ doors }: Config): string {
  const ranges = doors.filter((door) => door.forward === null).flatMap((door) => door.opens);
  const ports = [...new Set(ranges.map((range) => formatPortRange(range).replace(/\/tcp$/, '')))];
  return `port${ports.length === 1 ? ` ${ports[0]} is` : `s ${ports.join(', ')} are`} open over IPv6`;
}
