import { TABLE_BYTES_MAX } from '../files/lines.ts';
import type { Family } from '../packet/address.ts';
import { linesOf } from './proc.ts';

/** Where the kernel tells of routes. */
export const ROUTES: Readonly<Record<Family, string>> = {
  4: '/proc/self/net/route',
  6: '/proc/self/net/ipv6_route',
};

/** The destination ::/0 in /proc/self/net/ipv6_route. */
const DEFAULT_6 = `${'0'.repeat(32)} 00 `;

const IS_DEFAULT: Readonly<Record<Family, (line: string) => boolean>> = {
  4: (line) => line.includes('\t00000000\t'),
  6: (line) => line.startsWith(DEFAULT_6),
};

/**
 * Those lines of a table of routes that may be default routes, as the kernel prints them: of IPv4 also such as have no
 * gateway. Routers have hundreds of thousands of routes: the table is read in pieces, in threads.
 */
export function defaultRoutes(family: Family, file: string = ROUTES[family]): Promise<string> {
  return linesOf(file, TABLE_BYTES_MAX, IS_DEFAULT[family]);
}
