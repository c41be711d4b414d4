import { isPort, PORT_MAX, type Port } from '../../packet/port.ts';
import { quoted } from '../../text/plain.ts';
import type { KnockOptions } from '../commands/knock.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';
import { connectOnceOpen } from './connect.ts';

/** What follows a knock, read before the first packet goes out; gets the addresses that were knocked at. */
export type Afterwards = (addresses: readonly string[]) => Promise<ExitCode>;

/** Throws CommandFailure. */
export function afterwards({ wait, then, proxy, verbose }: KnockOptions): Afterwards {
  if (proxy !== undefined && (wait !== undefined || then !== undefined))
    throw usage('--proxy waits by itself and is the connection: leave --wait and --then out');
  if (then !== undefined && then.length === 0)
    throw usage('--then wants a command, such as --then ssh host.example');
  const connected = proxy === undefined ? undefined : portOf(proxy, '--proxy');
  const awaited = wait === undefined ? undefined : portOf(wait, '--wait');
  return async (addresses) => {
    if (connected !== undefined) {
      const { proxied } = await import('./proxy.ts');
      return await proxied(await connectOnceOpen(addresses, connected));
    }
    if (awaited !== undefined) {
      const socket = await connectOnceOpen(addresses, awaited);
      const said = `the door is open: ${awaited}/tcp of ${socket.remoteAddress ?? ''} answers\n`;
      socket.destroy();
      // What a command writes is its own.
      if (then === undefined) process.stdout.write(said);
      else if (verbose) process.stderr.write(said);
    }
    if (then === undefined) return EXIT.done;
    const { runThen } = await import('./then.ts');
    return await runThen(then);
  };
}

function portOf(text: string, option: string): Port {
  const number = /^\d{1,5}(\/tcp)?$/.test(text) ? Number.parseInt(text, 10) : 0;
  if (isPort(number)) return number;
  const why = text.endsWith('/udp') ? 'UDP does not say whether anybody hears it' : `${quoted(text)} is none`;
  throw usage(`${option} takes a TCP port, 1 to ${PORT_MAX}: ${why}`);
}
