import { Command, Option } from 'commander';
import { commandOf, type Definition, option } from './definition.ts';
import type { ExitCode } from './exit.ts';
import { KNOCK } from './knock-definition.ts';

const json = (): Option => new Option('--json', 'print JSON for programs instead of text for people');
const here = (): Option =>
  new Option('--here', 'on this machine alone: other members of a fleet hear nothing of it');

/** Every command, in the order of the manual. */
export const DEFINITIONS: readonly Definition[] = [
  {
    name: 'run',
    summary: 'run the daemon in the foreground; SIGTERM stops it, SIGHUP reloads the configuration',
    example: 'nfknock run -c /etc/nfknock/nfknock.yaml',
    options: [
      option('--no-install', 'expect the rules of `nfknock rules install`, and warn where they are missing'),
      option(
        '--confirm <time>',
        'roll everything back after this time, and end with 6, unless `nfknock confirm` is run',
      ),
    ],
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'check',
    summary: 'validate the configuration and report how strong each door is',
    example: 'nfknock check --strict /etc/nfknock/nfknock.yaml',
    args: [['[file]', 'the configuration, as with -c']],
    options: [json(), option('--strict', 'exit 1 where there is a warning')],
    load: () => import('./commands/check.ts'),
  },
  {
    name: 'rules',
    summary:
      'print, install, confirm, roll back or remove the iptables and ip6tables rules of this configuration',
    example: 'nfknock rules install --policy appliance --confirm 30s',
    args: [['<action>', 'print, install, confirm, roll-back or remove']],
    options: [
      json(),
      option(
        '--policy <name>',
        'with install: also install a base policy; "appliance" drops what is not allowed',
      ),
      option(
        '--confirm <time>',
        "with install: roll back nfknock's own part after this time unless `nfknock confirm` is run",
      ),
      option('--ipv4-only', "with install: go on where IPv6's rules can't be installed, and leave IPv6 open"),
      option(
        '--even-untracked',
        'with install: go on where a rule keeps a door from opening (NOTRACK), and close its ports',
      ),
      option('-y, --yes', 'with confirm: keep the change though no connection came in through a grant yet'),
      new Option('--change <id>', 'with roll-back: only this change').hideHelp(),
      option('-4', 'only iptables'),
      option('-6', 'only ip6tables'),
    ],
    load: () => import('./commands/rules.ts'),
  },
  {
    name: 'confirm',
    summary:
      'keep a change that was made with `--confirm`; says whether anybody came in through a grant since',
    example: 'nfknock confirm',
    options: [option('-y, --yes', 'keep it though no connection came in through a grant yet')],
    load: () => import('./commands/confirm.ts'),
  },
  {
    name: 'stand-down',
    summary:
      'recovery from the console: take every rule of nfknock out and keep it out, for a time or until --over; open to everyone meanwhile',
    example: 'sudo nfknock stand-down --until 30m',
    options: [
      json(),
      option(
        '--until <time>',
        'back by itself after this time (30m), or at this moment (18:30, "2026-11-30 06:00"); default: not before --over',
      ),
      option('--over', 'put the rules back now'),
      new Option('--change <id>', 'with --over: only this one').hideHelp(),
    ],
    load: () => import('./commands/stand-down.ts'),
  },
  {
    name: 'init',
    summary:
      'ask four questions (or take --yes and flags), and put a strong first configuration in force, with a way back',
    example: 'sudo nfknock init',
    options: [
      option('-y, --yes', 'ask nothing: take what is recommended, or what the flags say'),
      option(
        '--confirm-by <event>',
        'with --yes: the change stays once somebody came in through the door (knock), or at once (now)',
      ),
      option('--opens <ports>', 'what the door opens, comma-separated; default: where sshd listens'),
      option('--door <name>', "the door's name; default: ssh, or door where it opens something else"),
      option(
        '--allow <ports>',
        'what stays open to everyone, comma-separated, or none; default with --yes: what is served here (found)',
      ),
      option(
        '--by <method>',
        'how it is knocked at: key or sequence; default: key, where the clock can be trusted',
      ),
      option('--ssh <file>', 'knock with this SSH key (Ed25519): its public half, or an authorized_keys'),
      option(
        '--never <list>',
        "addresses and networks that are never banned, or none; default with --yes: the SSH session's client",
      ),
      option(
        '--host <name>',
        'what clients call this machine; default: as the SSH session does, else its name',
      ),
      option(
        '--out <file>',
        'keep the key or the sequence for the client in a new file (0600), and a spare key in FILE.spare',
      ),
      option(
        '--within <time>',
        'roll back after this time, of ten seconds or more, unless somebody came in through the door; default: 5m',
      ),
      option('--replace', 'replace a configuration that is there; it is kept beside the new one'),
      option('--ipv4-only', "go on where IPv6's rules can't be installed, and leave IPv6 open"),
      option('--policy <name>', '"appliance": also install a base policy that drops what is not allowed'),
    ],
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'doctor',
    summary: 'find what keeps nfknock from working on this machine, each with its fix; exit 1 for faults',
    example: 'sudo nfknock doctor',
    options: [
      json(),
      option(
        '--drop-in',
        "look at nothing, and write the drop-in by which the daemon's unit lets through the addresses that the configuration talks to (fleet, metrics), and no others",
      ),
    ],
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'status',
    summary: 'show doors, counters, queue health and uptime; exit 1 where something is wrong',
    example: 'nfknock status',
    options: [json()],
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'grants',
    summary: 'list who is let in, where and until when',
    example: 'nfknock grants --json',
    options: [json()],
    load: () => import('./commands/grants.ts'),
  },
  {
    name: 'grant',
    summary: 'open a door to an address by hand',
    example: 'nfknock grant ssh 198.51.100.7 --for 1h --reason "ticket 4711"',
    args: [
      ['<door>', 'the name of a door'],
      ['<address>', 'an IPv4 or IPv6 address'],
    ],
    options: [
      json(),
      option('--for <time>', "how long; default: the door's own `for`"),
      option('--reason <text>', 'why; kept for audit'),
      here(),
    ],
    load: () => import('./commands/grant.ts'),
  },
  {
    name: 'revoke',
    summary: "end an address's grants",
    example: 'nfknock revoke 198.51.100.7 ssh',
    args: [
      ['<address>', 'an IPv4 or IPv6 address'],
      ['[door]', 'only this door'],
    ],
    options: [json(), here()],
    load: () => import('./commands/revoke.ts'),
  },
  {
    name: 'bans',
    summary: 'list who is banned and until when',
    example: 'nfknock bans --json',
    options: [json()],
    load: () => import('./commands/bans.ts'),
  },
  {
    name: 'ban',
    summary: 'ban an address by hand',
    example: 'nfknock ban 203.0.113.9 --for 2h',
    args: [['<address>', 'an IPv4 address, or an IPv6 address, whose /64 is banned']],
    options: [json(), option('--for <time>', 'how long; default: `bans.for`'), here()],
    load: () => import('./commands/ban.ts'),
  },
  {
    name: 'unban',
    summary: 'lift a ban, or all',
    example: 'nfknock unban 203.0.113.9',
    args: [['[address]', 'the banned address']],
    options: [json(), option('--all', 'lift every ban'), here()],
    load: () => import('./commands/unban.ts'),
  },
  {
    name: 'sources',
    summary: 'list who has strikes or is in the middle of a sequence',
    example: 'nfknock sources',
    options: [json()],
    load: () => import('./commands/sources.ts'),
  },
  {
    name: 'explain',
    summary: 'tell what a source did and why it was let in, ignored, struck or banned',
    example: 'nfknock explain 203.0.113.9',
    args: [['<address>', 'an IPv4 or IPv6 address']],
    options: [json()],
    load: () => import('./commands/explain.ts'),
  },
  {
    name: 'reload',
    summary: 'reload the configuration; an invalid one changes nothing',
    example: 'nfknock reload',
    options: [json()],
    load: () => import('./commands/reload.ts'),
  },
  {
    name: 'watch',
    summary: 'a live screen: doors, events, offenders, queue; q quits',
    example: 'nfknock watch',
    load: () => import('./commands/watch.ts'),
  },
  {
    name: 'tail',
    summary: 'print the event log as readable text',
    example: 'nfknock tail -f --event "ban.*" --source 203.0.113.0/24',
    args: [['[file]', 'a log file, or - for standard input; default: `log.file`']],
    options: [
      json(),
      option('-f, --follow', 'go on as lines are added, across rotation'),
      option(
        '-n, --lines <count>',
        'begin with this many lines; default: 10 of a file, all of standard input',
      ),
      option('--event <glob>', 'only events that match, such as "ban.*"'),
      option('--source <cidr>', 'only sources in this network'),
      option('--door <name>', 'only this door'),
      option('--local', 'show local time; default: UTC, as in the log'),
    ],
    load: () => import('./commands/tail.ts'),
  },
  {
    name: 'replay',
    summary: 'run a capture through the engine, with no root and no kernel, and print its events',
    example: 'nfknock replay scan.pcap -c nfknock.yaml --report scan.html',
    args: [['<file>', 'pcap or pcapng, gzip too; - for standard input']],
    options: [
      option('--report <html>', 'draw the events into one self-contained HTML file'),
      option('--summary', 'print a table by source instead of the events'),
      option(
        '--address <list>',
        "this machine's addresses, comma-separated; default: those that receive SYNs",
      ),
      json(),
    ],
    load: () => import('./commands/replay.ts'),
  },
  KNOCK,
  {
    name: 'key',
    summary: 'make, list, revoke and rotate the keys that people open doors with, by one packet or a code',
    example: 'nfknock key new ada-laptop --door ssh --person ada',
    args: [
      ['<action>', 'new, list, revoke, rotate or realm'],
      ['[name]', 'the name of a key'],
    ],
    options: [
      json(),
      new Option('--door <name>', 'with new: what it opens; again, or with commas, for several').argParser(
        (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
      ),
      option('--person <name>', 'with new: whose it is'),
      option(
        '--ssh <file>',
        'with new and rotate: take this public SSH key (Ed25519), so that nothing secret is here; - for standard input',
      ),
      option('--fwknop', "with new: a key for fwknop's own client"),
      option('--secret', 'with new: one secret on both sides, instead of a pair of keys'),
      option('--totp', 'with new: the one-time codes of an authenticator, for doors that take a code'),
      option('--expires <date>', 'with new: the day from which it opens nothing, such as 2027-03-31'),
      option(
        '--host <name>',
        "with new and rotate: what clients call this server; default: the machine's name",
      ),
      option('--out <file>', 'keep what the client needs in a new file (0600) instead of showing it'),
      option('--qr', 'as a QR code too; with --out in FILE.qr'),
      option('--shell', 'with a client of sh, openssl, xxd and nc; with --out in FILE.sh'),
      option('--cut', 'with revoke: end the open connections of whom it let in, too'),
      option('--grace <time>', 'with rotate: how long the old one is still taken at most; default: 7d'),
      option('--new', 'with realm: make another, and take the old one for 7 days more'),
      option('--keys <file>', 'the key file; default: that of the configuration'),
    ],
    load: () => import('./commands/key.ts'),
  },
  {
    name: 'fleet',
    summary:
      "the members of this machine's fleet; and what it needs of its engine: check it, print the rights of members, forget one that is gone",
    example: 'nfknock fleet',
    args: [
      ['[action]', 'left out: list the members; else check, users or forget'],
      ['[names...]', 'with users: members; with forget: one member'],
    ],
    options: [
      json(),
      option('--group <name>', "the fleet; default: the configuration's, else main"),
      option(
        '--password-file <file>',
        "with users: made (0600) where it is missing, FILE.NAME where several are named; default: the configuration's. With forget: the file of the password of the engine's owner; default: $REDISCLI_AUTH",
      ),
      option('--user <name>', "with forget: the engine's owner; default: default"),
    ],
    load: () => import('./commands/fleet.ts'),
  },
  {
    name: 'import',
    summary:
      "translate knockd's, portsentry's, fwknop's or doorman's configuration into our YAML, and warn of what has no equal",
    example: 'nfknock import /etc/fwknop/access.conf --keys /etc/nfknock/keys.yaml > nfknock.yaml',
    args: [['<file>', 'knockd.conf, portsentry.conf, access.conf or guestlist']],
    options: [
      json(),
      option('--keys <file>', 'put the keys that the file holds into this key file (0600)'),
      option('--out <file>', 'write the YAML into a new file instead of to standard output'),
    ],
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'completion',
    summary: 'print the completion script of a shell',
    example: 'nfknock completion bash > /etc/bash_completion.d/nfknock',
    args: [['<shell>', 'bash, zsh or fish']],
    load: () => import('./completion.ts'),
  },
];

/** The whole command line. `finish` gets the exit code of the command that ran. */
export function program(version: string, finish: (code: ExitCode) => void): Command {
  const root = new Command('nfknock')
    .description("A port-knocking firewall daemon on the kernel's own packet path.")
    .version(version)
    .option('-c, --config <file>', 'the configuration; may also stand after the command')
    // Where `-c` stands decides whose it is; a command without one takes this one.
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(nfknock --help lists the commands)')
    .addHelpText(
      'after',
      '\nBegin with:\n  sudo nfknock init\nWhat stands in the way:\n  sudo nfknock doctor\nLocked out, at the console:\n  sudo nfknock stand-down --until 30m',
    );
  for (const definition of DEFINITIONS) root.addCommand(commandOf(root, definition, finish));
  return root;
}
