import { Option } from 'commander';
import { type Definition, option } from './definition.ts';
import { commandWords } from './knock/argv.ts';

/** The client: a command of `nfknock`, and all that `nfknock-client` is. */
export const KNOCK: Definition = {
  name: 'knock',
  summary: 'the client: send the knocks of a sequence, or the one packet of a key',
  example: 'nfknock knock host.example 7000 8000/udp 9000',
  args: [
    ['<host>', 'a name or address'],
    [
      '[ports...]',
      'PORT or PORT/tcp or PORT/udp, in order; with --code 1???? too; none: as the profile of HOST says',
    ],
  ],
  options: [
    option('-d, --delay <ms>', 'milliseconds between two knocks (default: 50)'),
    option('-u, --udp', 'udp where a port names no protocol'),
    option('-4', 'IPv4 only'),
    option('-6', 'IPv6 only'),
    option('-v, --verbose', 'say each knock'),
    option('--door <name>', 'with a key: what to open; without: take its sequence from the configuration'),
    option('--key <file>', 'open by this key: the file that `nfknock key new` made for this client'),
    option(
      '--ssh-key <file>',
      'open by this SSH key (Ed25519), or by its .pub where an agent has it; the server is that of --key, or of ~/.config/nfknock/HOST.key',
    ),
    option(
      '--code <digits>',
      'the one-time code that an authenticator shows, for the "?" of the ports or of --door; not secret once it has been used',
    ),
    option('--address <address>', 'with a key: for whom to open; default: where the packet comes from'),
    option('--port <port>', "with a key: the UDP port; default: the key file's, else 62201"),
    option('--wait <port>', 'then wait up to 10 s until this TCP port answers; exit 1 where it stays shut'),
    new Option(
      '--then <command...>',
      "then run this, which is all that follows, with no shell; exit as it does (126, 127: it can't be run)",
    ).argParser(commandWords),
    option(
      '--proxy <port>',
      'then connect standard input and output to this TCP port, as ProxyCommand of ssh_config wants',
    ),
  ],
  load: () => import('./commands/knock.ts'),
};
