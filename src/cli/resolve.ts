import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { quoted } from '../text/plain.ts';
import { EXIT } from './exit.ts';
import { CommandFailure, usage } from './failure.ts';

export interface Families {
  readonly '4'?: boolean;
  readonly '6'?: boolean;
}

/** The addresses of a host, the one to prefer first. Rejects with CommandFailure. */
export async function resolve(host: string, families: Families): Promise<readonly string[]> {
  if (families['4'] && families['6']) throw usage('-4 and -6 exclude each other: leave one out');
  const family = families['4'] ? 4 : families['6'] ? 6 : 0;
  const name = host.replace(/^\[(.*)\]$/, '$1');
  const literal = isIP(name);
  if (literal !== 0 && family !== 0 && literal !== family)
    throw usage(`${name} is no IPv${family} address: leave -${family} out`);
  if (literal !== 0) return [name];
  try {
    return (await lookup(name, { family, all: true })).map(({ address }) => address);
  } catch (error) {
    const kind = family === 0 ? '' : `IPv${family} `;
    throw new CommandFailure(
      EXIT.failed,
      `no ${kind}address for ${quoted(name)} (${codeOf(error)}): check the name, or give an address`,
    );
  }
}

/** The system's word for what went wrong. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
