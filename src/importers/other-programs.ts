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
    is: /^\s*(bantime|findtime|maxretry|banaction|ignoreip|logpath|failregex)\s*=/m,
    instead: 'fail2ban can go on beside nfknock; "ignoreip" is "bans.never" here, "bantime" is "bans.for"',
  },
  {
    name: 'a list of iptables-save',
    is: /^\*(filter|nat|mangle|raw)\s*$/m,
    instead: 'write the ports that it accepts from everybody into "allow", and a door for the rest',
  },
  {
    name: 'a ruleset of nftables',
    is: /^\s*(flush ruleset|(add )?table (ip|ip6|inet|arp|bridge|netdev)\s)/m,
    instead: 'write the ports that it accepts from everybody into "allow", and a door for the rest',
  },
  {
    name: 'a file of firewalld',
    is: /^\s*<(zone|service|ipset|policy|direct)[\s>]/m,
    instead: 'write the services that everybody reaches into "allow", and a door for the rest',
  },
  {
    name: "fwknop's client file (.fwknoprc)",
    is: /^\s*(SPA_SERVER(_PROTO)?|ALLOW_IP|SPA_SOURCE_PORT)[\s]+\S/m,
    instead: 'name the access.conf of its server; the client works with nfknock as it is',
  },
  {
    name: "knockd's start settings (/etc/default/knockd)",
    is: /^\s*(START_KNOCKD|KNOCKD_OPTS)=/m,
    instead: 'name /etc/knockd.conf; the interface behind -i goes into "listen.interfaces"',
  },
  {
    name: 'a file of Shorewall',
    is: /^\s*(\?SECTION|(ACCEPT|DNAT|Knock)(\(\w+\))?:?\w*\s+(net|all|loc|\$FW)\b)/m,
    instead: 'write the ports that it accepts from everybody into "allow", and a door for the rest',
  },
  {
    name: 'a configuration of OpenWrt (uci)',
    is: /^\s*config (rule|zone|redirect|defaults|include)\b/m,
    instead: 'write the ports that it accepts from everybody into "allow", and a door for the rest',
  },
  {
    name: 'a configuration of psad',
    is: /^\s*(ENABLE_AUTO_IDS|AUTO_IDS_DANGER_LEVEL|PSAD_\w+|DANGER_LEVEL1)\s/m,
    instead: 'write "decoys: all"; psad can go on beside nfknock',
  },
  {
    name: 'a configuration of sshguard',
    is: /^\s*(BLOCK_TIME|DETECTION_TIME|BACKEND="?[^"]*sshg-fw)/m,
    instead:
      'sshguard can go on beside nfknock; its WHITELIST_FILE is "bans.never" here, BLOCK_TIME "bans.for"',
  },
  {
    name: 'a script of the shell',
    is: /^(#!\s*\/\S*sh\b|\s*(sudo\s+|\/s?bin\/|\/usr\/s?bin\/|\$\w+\s+)?(ip6?tables|ufw|firewall-cmd|ipset)\s+-?\w)/m,
    instead: 'write a door with the ports of its steps, in their order, and what they open',
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
