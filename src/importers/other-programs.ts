import type { Fault } from '../config/fault.ts';

interface Program {
  readonly name: string;
  readonly is: RegExp;
  readonly instead: string;
}

/** Files that people try instead, known by lines that no file has that can be imported. */
const PROGRAMS: readonly Program[] = [
  {
    name: 'a script of RouterOS (MikroTik)',
    is: /^\s*(\/ip firewall|\/ipv6 firewall|add (action|chain)=)/m,
    instead: 'write a door with the dst-port of each of its steps, in their order',
  },
  {
    name: 'a jail of fail2ban',
    is: /^\s*(bantime|findtime|maxretry|banaction|ignoreip)\s*=/m,
    instead: 'fail2ban can go on beside nfknock; "ignoreip" is "bans.never" here, "bantime" is "bans.for"',
  },
  {
    name: 'a list of iptables-save',
    is: /^\*(filter|nat|mangle|raw)\s*$/m,
    instead: 'write the ports that it accepts from everybody into "allow", and a door for the rest',
  },
  {
    name: 'our own configuration',
    is: /^(doors|decoys|bans|listen):/m,
    instead: 'it needs no import; look at it with nfknock check FILE',
  },
];

/** The fault of a file that is another program's; undefined: it may be one that can be imported. */
export function otherProgram(text: string, file: string): Fault | undefined {
  if (text.includes('\0')) {
    const problem = 'this is not a text file';
    return {
      file,
      line: 1,
      column: 1,
      key: '(file)',
      problem,
      fix: 'name a knockd.conf, portsentry.conf, access.conf or guestlist',
    };
  }
  const lines = text.split(/\r?\n/);
  if (lines.some((line) => /^\s*(sequence|one_time_sequences)\s*=/i.test(line))) return undefined;
  for (const { name, is, instead } of PROGRAMS) {
    const found = is.exec(text);
    if (found === null) continue;
    const line = text.slice(0, found.index + found[0].length).split(/\r?\n/).length;
    return {
      file,
      line,
      column: 1,
      key: '(file)',
      // The line itself is not repeated: it may hold a key.
      problem: `this is ${name}, which can't be imported`,
      fix: instead,
    };
  }
  return undefined;
}
