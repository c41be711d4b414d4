import type { Socket } from 'node:net';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/** Carries standard input to a connection and the connection to standard output, until the other side has said all. */
export function proxied(socket: Socket): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const { stdin, stdout } = process;
    let failure: unknown;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      failure = error;
    });
    // Who reads us has gone: there is nobody to carry for.
    const gone = (): void => {
      socket.destroy();
    };
    stdout.on('error', gone).on('close', gone);
    stdin.on('error', gone);
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      stdout.off('close', gone);
      // What still waits for input would keep this process.
      stdin.unpipe();
      stdin.destroy();
      if (failure === undefined) resolve(EXIT.done);
      else
        reject(new CommandFailure(EXIT.failed, `the connection ended (${codeOf(failure)}): connect again`));
    });
    stdin.pipe(socket);
    socket.pipe(stdout, { end: false });
  });
}
