import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from './net.ts';
import { temporaryFolder } from './scratch.ts';

/** Where they lead, and what else `conntrack -I` is told of each. */
interface Filling {
  readonly to?: string;
  readonly more?: string;
}

/** Fills conntrack's table with what so many began, of 203.0.0.0 and those behind it: one UDP connection each. */
export async function fillConntrack(
  server: Pick<Server, 'exec'>,
  entries: number,
  { to = '198.51.100.1', more = '' }: Filling = {},
): Promise<void> {
  const file = join(temporaryFolder(), 'entries');
  const entry = (index: number): string =>
    `-I -p udp -s 203.${index >> 16}.${(index >> 8) & 255}.${index & 255} -d ${to} --sport 1000 --dport 53 -t 600 ${more}\n`;
  writeFileSync(file, Array.from({ length: entries }, (_, index) => entry(index)).join(''));
  await server.exec(['conntrack', '--load-file', file], { timeout: 120_000 });
}
