import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { formatNotice, type Imported } from '../../../src/config/import-notice.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { acceptRule } from '../../../src/importers/iptables-accept.ts';
import { importKnockd } from '../../../src/importers/knockd.ts';
import { otherProgram } from '../../../src/importers/other-programs.ts';
import { importPortsentry, isPortsentry } from '../../../src/importers/portsentry.ts';
import { splitCommand } from '../../../src/importers/shell-words.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { formatPort, formatPortRange } from '../../../src/packet/port.ts';

function said(imported: Imported): string {
  return imported.ok
    ? imported.warnings.map(formatNotice).join('\n')
    : imported.faults.map(formatFault).join('\n');
}

function yaml(text: string): string {
  const imported = importKnockd(text, 'k.conf');
  return imported.ok ? imported.yaml : said(imported);
}

describe('A command line', () => {
  it.each([
    ['/bin/a  b\tc', ['/bin/a', 'b', 'c']],
    [`/bin/a "b c" 'd e' f\\ g`, ['/bin/a', 'b c', 'd e', 'f g']],
    [`a "x\\"y" 'x\\y' ""`, ['a', 'x"y', 'x\\y', '']],
    ['a;b && c', ['a', ';', 'b', '&&', 'c']],
    ['', []],
    ['a b # c', ['a', 'b']],
    ['a#b', ['a#b']],
    ['a >/dev/null 2>&1 &', ['a']],
    ['a || true; b { c }', ['a', ';', 'b', '{', 'c', '}']],
  ])('%s is split as a shell would, and nothing evaluated', (text, words) => {
    expect(splitCommand(text)).toMatchObject({ words, shell: [] });
  });

  it.each([
    ['a | b', ['|']],
    ['a > b < c', ['>', '<']],
    ['a & b', ['&']],
    ['a $(id) `id`', ['$', '(', ')', '`']],
    ['a "$HOME" "`id`"', ['$', '`']],
    ["a '$HOME'", []],
    ['a *.b ?', ['*', '?']],
    ['a "b', ['"']],
  ])('%s tells what only a shell would understand', (text, shell) => {
    expect(splitCommand(text).shell).toEqual(shell);
  });
});

describe('An iptables command', () => {
  const ports = (text: string): string | undefined =>
    acceptRule(splitCommand(text).words)?.opens.map(formatPortRange).join(' ');
  it.each([
    ['iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT', '22/tcp'],
    ['/sbin/iptables -I INPUT 1 -s %IP%/32 -p tcp -m tcp --dport 22 -j ACCEPT', '22/tcp'],
    [
      '/usr/sbin/ip6tables -w 5 -t filter -D INPUT -s %IP% -p udp --dport 60000:61000 -j ACCEPT',
      '60000-61000/udp',
    ],
    [
      '/usr/sbin/iptables-nft --append INPUT --source %IP% --protocol tcp --match multiport --dports ssh,443 --jump ACCEPT',
      '22/tcp 443/tcp',
    ],
    [
      'iptables -I INPUT -p all -s %IP% --dport=53 -m comment --comment "a b" -m state --state NEW -j ACCEPT',
      '53/tcp 53/udp',
    ],
  ])('that only accepts is a rule for its ports: %s', (text, expected) => {
    expect(ports(text)).toBe(expected);
  });

  it.each([
    'iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp ! --dport 22 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport 22 -j DROP',
    'iptables -A INPUT -s %IP% -p tcp --dport 22',
    'iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport 22 -m limit --limit 1/s -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport 22 -m state --state ESTABLISHED -j ACCEPT',
    'iptables -A INPUT -s %IP% -p icmp --dport 22 -j ACCEPT',
    'iptables -t nat -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport 0 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport 30:20 -j ACCEPT',
    'iptables -A INPUT -s %IP% -p tcp --dport nowhere -j ACCEPT',
    'iptables -A INPUT -s',
    '/tmp/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
    'iptables -A OUTPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
    'iptables -t nat -A PREROUTING -s %IP% -p tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22',
    'ufw allow from %IP%',
  ])('that does anything else is none: %s', (text) => {
    expect(acceptRule(splitCommand(text).words)).toBeUndefined();
  });
});

/** Doors of a translation, as our own parser reads them. */
function doors(text: string): readonly object[] {
  const parsed = parseConfig(yaml(text), 'f');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.config.doors.map(({ opens, grant, forward, for: lasts, close, onOpen, onClose }) => ({
    opens: opens.map(formatPortRange),
    grant: typeof grant === 'string' ? grant : formatCidr(grant),
    forward: forward === null ? null : `${formatCidr(forward.to)}${forward.dnat ? ' dnat' : ''}`,
    seconds: lasts / 1000,
    close: close.map(formatPort),
    onOpen,
    onClose,
  }));
}

describe('A command of a knockd.conf', () => {
  const plain = { grant: 'source', forward: null, seconds: 60, close: [], onOpen: null, onClose: null };
  const both = (start: string, stop: string): string =>
    `[a]\nsequence = 1,2,3\nstart_command = ${start}\ncmd_timeout = 60\nstop_command = ${stop}\n`;
  it.each([
    [
      'ufw allow from %IP% to any port 22',
      'ufw delete allow from %IP% to any port 22',
      { opens: ['22/tcp', '22/udp'] },
    ],
    [
      '/bin/sh -c "iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"',
      "bash -c 'iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'",
      { opens: ['22/tcp'] },
    ],
    [
      'sudo ufw insert 1 allow from %IP% to any port 443 proto tcp',
      'sudo ufw delete allow from %IP% to any port 443 proto tcp',
      { opens: ['443/tcp'] },
    ],
    [
      'ufw allow proto udp from %IP% to any port 6000:6010,53',
      'ufw --force delete allow proto udp from %IP% to any port 6000:6010,53',
      { opens: ['53/udp', '6000-6010/udp'] },
    ],
    ['ufw allow 22/tcp', 'ufw delete allow 22/tcp', { opens: ['22/tcp'], grant: 'any' }],
    [
      'ufw allow from %IP% to any app OpenSSH',
      'ufw delete allow from %IP% to any app OpenSSH',
      { opens: ['22/tcp'] },
    ],
    [
      'firewall-cmd --zone=public --add-rich-rule=\'rule family="ipv4" source address="%IP%" service name="ssh" accept\'',
      'firewall-cmd --zone=public --remove-rich-rule=\'rule family="ipv4" source address="%IP%" service name="ssh" accept\'',
      { opens: ['22/tcp'] },
    ],
    [
      "firewall-cmd --add-rich-rule 'rule family=ipv4 source address=%IP%/32 port port=8443 protocol=tcp accept'",
      "firewall-cmd --remove-rich-rule 'rule family=ipv4 source address=%IP%/32 port port=8443 protocol=tcp accept'",
      { opens: ['8443/tcp'] },
    ],
    [
      'firewall-cmd --add-service=ssh',
      'firewall-cmd --remove-service=ssh',
      { opens: ['22/tcp'], grant: 'any' },
    ],
    [
      '/usr/bin/sudo -n /sbin/iptables -I INPUT 1 -s %IP% -p tcp --dport 22 -j ACCEPT',
      'sudo iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
      { opens: ['22/tcp'] },
    ],
    [
      'iptables -I INPUT -p tcp --dport 22 -j ACCEPT',
      'iptables -D INPUT -p tcp --dport 22 -j ACCEPT',
      { opens: ['22/tcp'], grant: 'any' },
    ],
    [
      'iptables -I INPUT -s 192.0.2.0/24 -p tcp --dport 22 -j ACCEPT',
      'iptables -D INPUT -s 192.0.2.0/24 -p tcp --dport 22 -j ACCEPT',
      { opens: ['22/tcp'], grant: '192.0.2.0/24' },
    ],
    [
      'iptables -I FORWARD -s %IP% -d 10.0.0.5 -p tcp --dport 443 -j ACCEPT',
      'iptables -D FORWARD -s %IP% -d 10.0.0.5 -p tcp --dport 443 -j ACCEPT',
      { opens: ['443/tcp'], forward: '10.0.0.5' },
    ],
    [
      'iptables -t nat -I PREROUTING -s %IP% -p tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443; iptables -I FORWARD -s %IP% -d 10.0.0.5 -p tcp --dport 443 -j ACCEPT',
      'iptables -t nat -D PREROUTING -s %IP% -p tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443; iptables -D FORWARD -s %IP% -d 10.0.0.5 -p tcp --dport 443 -j ACCEPT',
      { opens: ['443/tcp'], forward: '10.0.0.5 dnat' },
    ],
    [
      'iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && logger in',
      'iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT >/dev/null 2>&1 || true',
      { opens: ['22/tcp'], onOpen: ['/usr/bin/logger', 'in'] },
    ],
  ])('%s opens as it did', (start, stop, expected) => {
    expect(doors(both(start, stop))).toEqual([{ ...plain, ...expected }]);
  });

  it.each([
    [
      'iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; sleep 45; iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
      45,
    ],
    [
      '/sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && /bin/sleep 2m && /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
      120,
    ],
    [
      'firewall-cmd --add-rich-rule=\'rule source address="%IP%" service name="ssh" accept\' --timeout=90',
      90,
    ],
  ])('%s closes after its time', (start, seconds) => {
    expect(doors(`[a]\nsequence = 1,2,3\ncommand = ${start}\n`)).toEqual([
      { ...plain, opens: ['22/tcp'], seconds },
    ]);
  });

  it.each([
    ['iptables -I INPUT -s %IP% -d 192.0.2.1 -p tcp --dport 22 -j ACCEPT', 'packets to 192.0.2.1 alone'],
    ['iptables -I SSHKNOCK -s %IP% -p tcp --dport 22 -j ACCEPT', 'stands in the chain SSHKNOCK'],
    ['ip6tables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT', 'the rule is for IPv6 alone'],
    ['iptables -I INPUT -s %IP% -j ACCEPT', 'lets the knocker in to every port'],
    [
      'iptables -t nat -I PREROUTING -p tcp --dport 2222 -j DNAT --to 10.0.0.5:22; iptables -I FORWARD -s %IP% -d 10.0.0.6 -p tcp --dport 22 -j ACCEPT',
      'nothing',
    ],
    [
      'iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; iptables -I FORWARD -s %IP% -d 10.0.0.6 -p tcp --dport 22 -j ACCEPT',
      'leads to several machines',
    ],
    ['/bin/a; /bin/b', 'several commands, and a door runs one'],
    ['echo %IP% >> /var/log/in', 'no shell is run, and > needs one'],
    ['/sbin/reboot', 'reboot needs root'],
    ['/usr/local/bin/notify %IP%', "runs as the unit's user"],
  ])('%s is told where the door will not do as before', (start, text) => {
    const imported = importKnockd(`[a]\nsequence = 1,2,3\ncommand = ${start}\ncmd_timeout = 9\n`, 'k.conf');
    if (text !== 'nothing') expect(said(imported)).toContain(text);
    expect(said(imported).split('\n').length).toBeGreaterThan(1);
  });

  const line = '-s %IP% -p tcp --dport 22 -j ACCEPT';
  const add = `/sbin/iptables -I INPUT ${line}`;
  const remove = `/sbin/iptables -D INPUT ${line}`;
  it.each([
    [`/sbin/iptables -I INPUT 1 ${line}`, '/sbin/iptables -D INPUT 1', {}],
    ['ufw allow from %IP% to any port 22 proto tcp', 'ufw --force delete 1', {}],
    [add, `echo %IP% | mail root; ${remove}`, {}],
    [`${add}; echo %IP% | mail root`, remove, {}],
    [add, 'wall closed | cat', {}],
    [
      'sudo sh -c "iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"',
      `sudo /bin/bash -c "${remove}"`,
      {},
    ],
    [`iptables -C INPUT ${line} || ${add}`, remove, {}],
    [`nohup ${add}`, `setsid ${remove}`, {}],
    [`${add}; sleep 59.5; ${remove}`, 'true', {}],
    [`${add} && iptables-save > /etc/iptables/rules.v4`, `${remove}; netfilter-persistent save`, {}],
    [`${add}; iptables -D INPUT -s %IP% -p tcp --dport 80 -j ACCEPT`, remove, {}],
    [
      add.replace('--dport', '\u2013dport').replace(' -j', ' \u2013j'),
      remove.replace('--dport', '\u2014dport'),
      {},
    ],
    [`${add} &amp;&amp; logger &quot;in %IP%&quot;`, remove, { onOpen: ['/usr/bin/logger', 'in %IP%'] }],
    [
      'firewall-cmd --permanent --add-rich-rule=\'rule family=ipv4 source address=%IP% port protocol=tcp port=22 log prefix="in" level="info" accept\'; firewall-cmd --reload',
      remove,
      {},
    ],
    ['ufw allow proto tcp from %IP% port 1024:65535 to any port 22', remove, {}],
    [
      'iptables -t nat -I PREROUTING -p tcp --dport 22 -s %IP% -j DNAT --to-destination [2001:db8::5]:22',
      'true',
      { forward: '2001:db8::5 dnat' },
    ],
  ])('%s, taken back by %s, opens and closes as it did', (start, stop, expected) => {
    expect(doors(both(start, stop))).toEqual([
      { ...plain, onClose: stop === 'true' ? ['/usr/bin/true'] : null, opens: ['22/tcp'], ...expected },
    ]);
  });

  it.each([
    ['/bin/test -e /etc/knock.on && ', 'only where "/bin/test" says so'],
    ['grep -q on /etc/knock && ', 'only where "grep" says so'],
    ['/usr/local/bin/may %IP% && ', 'only where "/usr/local/bin/may" says so'],
    ['/usr/local/bin/may %IP% || ', 'only where "/usr/local/bin/may" says so'],
    ['if true; then echo; fi; ', 'no shell is run, and if needs one: the command is left out'],
    ['( sleep 60; /bin/true ) & ', 'no shell is run, and ( needs one: the command is left out'],
  ])('that opens under a condition, %s, opens nothing, and it is said', (before, text) => {
    const file = `[a]\nsequence = 1,2,3\ncommand = ${before}${add}\n`;
    expect(doors(file)).toMatchObject([{ opens: [], onOpen: null }]);
    expect(said(importKnockd(file, 'k.conf'))).toContain(text);
  });

  it.each([
    `${add}; echo "${remove}" | at now + 5 minutes`,
    `${add}; (sleep 60; ${remove}) &`,
    `${add}; sleep $TIME; ${remove}`,
  ])('%s opens nothing rather than for good, and it is said', (command) => {
    const file = `[a]\nsequence = 1,2,3\ncommand = ${command}\n`;
    expect(doors(file)).toMatchObject([{ opens: [], onOpen: null }]);
    expect(said(importKnockd(file, 'k.conf'))).toContain('the command is left out');
  });

  it('that nothing takes back any more is said to be so', () => {
    const file =
      '[a]\nsequence = 1,2,3\nstart_command = nft add rule ip f i ip saddr %IP% accept\nstop_command = nft delete rule ip f i handle $(x)\n';
    expect(said(importKnockd(file, 'k.conf'))).toContain('a: nothing takes back what the start command does');
  });

  it.each([
    ['/sbin/iptables -F', "nfknock's own rules out too"],
    ['iptables --flush INPUT', "nfknock's own rules out too"],
    ['/sbin/iptables-restore /etc/iptables/rules.v4', "nfknock's own rules out too"],
    ['nft flush ruleset', "nfknock's own rules out too"],
    ['nft -a flush table ip filter', "nfknock's own rules out too"],
    ['iptables -R INPUT 1 -p tcp --dport 22 -j ACCEPT', 'stand at that number'],
    ['iptables -D INPUT 1', 'stand at that number'],
  ])('%s, which would take rules of nfknock away, is left out and told', (command, text) => {
    const file = `[a]\nsequence = 1,2,3\nstart_command = /usr/local/bin/in %IP%\nstop_command = ${command}\n[b]\nsequence = 4,5,6\ncommand = ${command}\n`;
    expect(doors(file)).toMatchObject([{ onClose: null, seconds: 10 }, { onOpen: null }]);
    expect(said(importKnockd(file, 'k.conf')).split(text)).toHaveLength(3);
  });

  it.each([
    'iptables -F KNOCK',
    'iptables-restore --noflush /etc/knock.rules',
    'nft flush chain inet mine input',
    'iptables -P INPUT ACCEPT',
    'iptables -I INPUT -s %IP% -j REJECT',
  ])('%s, which leaves them alone, is kept', (command) => {
    expect(doors(`[a]\nsequence = 1,2,3\ncommand = ${command}\n`)).toMatchObject([
      { onOpen: [expect.any(String), ...command.split(' ').slice(1)] },
    ]);
  });

  it('that deletes by number closes the door of its name', () => {
    const text = `[openSSH]\nsequence = 1,2,3\ncommand = ${add}\n[closeSSH]\nsequence = 3,2,1\ncommand = iptables -D INPUT 1\n`;
    expect(doors(text)).toMatchObject([{ opens: ['22/tcp'], close: ['3/tcp', '2/tcp', '1/tcp'] }]);
  });

  it('that shuts everybody out is no opening, so the knock that lets in again waits for no grant', () => {
    const text = `[openSSH]\nsequence = 1,2,3\ncommand = iptables -D INPUT -p tcp --dport 22 -j DROP\n[closeSSH]\nsequence = 3,2,1\ncommand = iptables -A INPUT -p tcp --dport 22 -j DROP\n`;
    expect(doors(text)).toMatchObject([
      { close: [], onOpen: expect.arrayContaining(['-D']) },
      { close: [], onOpen: expect.arrayContaining(['-A']) },
    ]);
  });

  it.each([
    [
      `${add}; iptables -D INPUT -s %IP% -p tcp --dport 80 -j ACCEPT`,
      'deletes a rule that this command does not add',
    ],
    [`sleep 5; ${add}`, 'waits 5 s before it opens'],
    [
      `iptables -D INPUT ${line}; iptables -D INPUT -s %IP% -p tcp --dport 80 -j ACCEPT`,
      'the others are left out',
    ],
    ['ufw allow from %IP% port 22', 'every port'],
    [
      "firewall-cmd --add-rich-rule='rule family=ipv4 source NOT address=%IP% service name=ssh accept'",
      'needs root',
    ],
    ["firewall-cmd --add-rich-rule='rule family=ipv4 source-port port=22 protocol=tcp accept'", 'needs root'],
  ])('%s says what is not as before', (command, text) => {
    expect(said(importKnockd(`[a]\nsequence = 1,2,3\ncommand = ${command}\n`, 'k.conf'))).toContain(text);
  });

  it('of a door that closes by itself leaves its closing door to close it sooner', () => {
    const rule = (does: string): string =>
      `/sbin/iptables -${does} INPUT -s %IP% -p tcp --dport 22 -j ACCEPT`;
    const text = `${both(rule('I'), rule('D'))}[closeA]\nsequence = 3,2,1\ncommand = ${rule('D')}\n[closeB]\nsequence = 9,8\ncommand = ${rule('D')}\n`;
    expect(doors(text)).toEqual([{ ...plain, opens: ['22/tcp'], close: ['3/tcp', '2/tcp', '1/tcp'] }]);
    expect(said(importKnockd(text, 'k.conf'))).toMatch(
      /closeB: a door has one close sequence, and a has one: left out/,
    );
  });

  it('that takes the ports of several doors back closes each of them, or says that it does not', () => {
    const rule = (does: string, port: number): string =>
      `/sbin/iptables -${does} INPUT -s %IP% -p tcp --dport ${port} -j ACCEPT`;
    const text = `[a]\nsequence = 1,2\ncommand = ${rule('I', 22)}\n[b]\nsequence = 3,4\ncommand = ${rule('I', 80)}\n[c]\nsequence = 5,6\ncommand = ${rule('D', 22)}; ${rule('D', 80)}\n`;
    expect(doors(text)).toMatchObject([{ close: ['5/tcp', '6/tcp'] }, { close: ['5/tcp', '6/tcp'] }]);
  });
});

describe('The log of a knockd.conf', () => {
  const SAID = 'can create no file in';
  it.each([
    ['/var/log/knockd.log', '/var/log/nfknock/nfknock.log', `${SAID} /var/log:`],
    ['/home/me/knock.log', '/var/log/nfknock/knock.log', `${SAID} /home/me:`],
    ['/var/log/knock/k.log', '/var/log/nfknock/k.log', `${SAID} /var/log/knock:`],
    ['/tmp/knockd', '/var/log/nfknock/nfknock', `${SAID} /tmp:`],
    ['/var/log/nfknock/../x.log', '/var/log/nfknock/x.log', SAID],
    ['/var/log/nfknock/a.log', '/var/log/nfknock/a.log', ''],
    ['/dev/null', undefined, 'standard output'],
    ['/dev/stdout', undefined, 'standard output'],
    ['knockd.log', undefined, 'no absolute path'],
  ])('%s becomes %s, where the unit may write', (before, after, told) => {
    const text = `[options]\nlogfile = ${before}\n[a]\nsequence = 1,2,3\ntcpflags = syn\ncommand = /bin/true\n`;
    const parsed = parseConfig(yaml(text), 'f');
    expect(parsed.ok && parsed.config.log.file).toEqual(after ?? null);
    expect(said(importKnockd(text, 'k.conf'))).toContain(told);
  });
});

describe('What copying loses', () => {
  it.each([
    [
      'sequence = 1,2,3\ncommand = /bin/true\n',
      /2: door|1: door: stands under no header of its own; taken as one of \[door\]/,
    ],
    ['UseSyslog\n[a]\nsequence = 1,2,3\n', /1: options: stands under no header/],
    ['[options]\nlogfile = /a/b\nsequence = 1,2,3\ncommand = /bin/true\n', /3: door: stands under no header/],
    ['[openSSH\nsequence = 1,2,3\n', /1: openSSH: "\[openSSH" is taken as \[openSSH\]/],
    ['openSSH]\nsequence = 1,2,3\n', /1: openSSH: "openSSH\]" is taken as \[openSSH\]/],
    ['[openSSH] # mine\nsequence = 1,2,3\n', /1: openSSH: /],
    ['openSSH\n sequence = 1,2,3\n', /1: openSSH: "openSSH" is taken as \[openSSH\]/],
    ['options\n UseSyslog\nopenSSH\n\n sequence = 1,2,3\n', /1: options: "options" is taken as \[options\]/],
  ])('%j is put right and told', (text, warning) => {
    expect(doors(text)).toHaveLength(1);
    expect(said(importKnockd(text, 'k.conf'))).toMatch(warning);
  });

  it('is looked for at the end of the line before, too', () => {
    const text = `[options]\n interface = ens33[openSSH]\n sequence = 1,2,3\n command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT[closeSSH]\n sequence = 3,2,1\n command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n tcpflags = syn\n`;
    expect(doors(text)).toMatchObject([{ opens: ['22/tcp'], close: ['3/tcp', '2/tcp', '1/tcp'] }]);
    expect(yaml(text)).toContain('interfaces: ["ens33"]');
    expect(said(importKnockd(text, 'k.conf'))).toMatch(
      /2: options: "interface = ens33\[openSSH\]" is taken as/,
    );
  });

  it('is looked for in the next lines alone, however long the file is', () => {
    const begun = performance.now();
    importKnockd('[a]\n'.concat('word\n'.repeat(20_000)), 'k.conf');
    importKnockd('[a]\n'.concat('x = 1\n'.repeat(20_000)), 'k.conf');
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  it.each([
    ['sequence = 1,2,3 # my ports', 'knock: [1/tcp, 2/tcp, 3/tcp]'],
    ['sequence = 1,2,3\nseq_timeout = 7 # s', 'within: 7s'],
    ['sequence = 1,2,3\nstop_command = /bin/true\ncmd_timeout = 77\t# s', 'for: 77s'],
    ['sequence = 1,2,3\ntcpflags = syn # only', 'flags: "syn"'],
    ['one_time_sequences = /var/lib/nfknock/a # mine', 'one_time: "/var/lib/nfknock/a"\n'],
    ['one_time_sequences = /var/lib/nfknock/a#1', 'one_time: "/var/lib/nfknock/a#1"\n'],
    ['sequence = 1,2,3\nseq_timeout = 7s', 'within: 7s'],
    ['sequence = 1,2,3\nstop_command = /bin/true\ncmd_timeout = 30 seconds', 'for: 30s'],
  ])('%j has a comment behind its value', (lines, expected) => {
    expect(yaml(`[a]\n${lines}\n`)).toContain(expected);
  });
});

describe("Another program's file", () => {
  it.each([
    ['jail.local', 'a jail of fail2ban'],
    ['routeros.rsc', 'a script of RouterOS'],
  ])('%s is named', (name, program) => {
    const text = readFileSync(join(import.meta.dirname, '../../fixtures/other-programs', name), 'utf8');
    expect(otherProgram(text, name)?.problem).toContain(program);
  });

  it.each([
    ['flush ruleset\ntable inet filter {\n', 'a ruleset of nftables'],
    ['[sshd]\nenabled = true\nlogpath = %(sshd_log)s\n', 'a jail of fail2ban'],
    ['<?xml version="1.0"?>\n<zone>\n', 'a file of firewalld'],
    ['[default]\nSPA_SERVER 192.0.2.1\nKEY_BASE64 secret\n', "fwknop's client file"],
    ['START_KNOCKD=1\nKNOCKD_OPTS="-i eth0"\n', "knockd's start settings"],
    ['?SECTION NEW\nKnock net $FW tcp 1,2,3\n', 'a file of Shorewall'],
    ["config rule\n\toption name 'ssh'\n", 'a configuration of OpenWrt'],
    ['ENABLE_AUTO_IDS Y;\n', 'a configuration of psad'],
    ['BACKEND="/usr/libexec/sshg-fw-nft-sets"\n', 'a configuration of sshguard'],
    ['#!/bin/bash\nx=1\n', 'a script of the shell'],
    ['iptables -N KNOCKING\n', 'a script of the shell'],
    ['*filter\n:INPUT DROP [0:0]\n', 'a list of iptables-save'],
  ])('%j is named, and no line of it repeated', (text, program) => {
    const fault = otherProgram(text, 'f');
    expect(fault?.problem).toContain(program);
    expect(JSON.stringify(fault)).not.toContain('secret');
  });

  it('is told once where it is no text at all, and its bytes are not repeated', () => {
    const fault = otherProgram('\u00d4\u00c3\0\0[a]\nsequence = 1,2,3\n\0', 'scan.pcap');
    expect(fault).toMatchObject({ line: 1, problem: 'this is not a text file' });
  });

  it('is none of those that can be imported', () => {
    for (const kind of ['knockd', 'portsentry'])
      for (const name of readdirSync(join(import.meta.dirname, '../../fixtures', kind)))
        expect(
          otherProgram(readFileSync(join(import.meta.dirname, '../../fixtures', kind, name), 'utf8'), name),
        ).toBeUndefined();
  });
});

describe('Importing a knockd.conf', () => {
  it('refuses a sequence that is a file, and says what was meant', () => {
    expect(yaml('[a]\nsequence = /etc/file\n')).toMatch(
      /^k.conf:2:1: a.sequence: "\/etc\/file" is not a list of ports; write one_time_sequences = \/etc\/file/,
    );
  });

  it.each([
    ['nonsense = 1,2', /^k.conf:1:1: \(file\): "nonsense = 1,2" is not in a section/],
    ['[a]\nsequence = 1,x', /k.conf:2:1: a.sequence: "x" is not a port from 1 to 65535/],
    ['[a]\nsequence = 1:icmp,2', /"1:icmp" is not a port/],
    ['[a]\nsequence = 0,2', /"0" is not a port/],
    ['[a]\ncommand = /bin/a', /k.conf:1:1: a: the door has no sequence/],
    ['[a]\nsequence = 1,2\ntcpflags = syn,mad', /tcpflags: "syn,mad" is not/],
    ['[a]\nsequence = 1,2\nnonsense', /3:1: a: "nonsense" has no value; expected NAME = VALUE/],
    ['[options]\nUseSyslog', /the file has no doors/],
    ['[a]\none_time_sequences = rel', /one_time_sequences: "rel" is not the absolute path/],
  ])('%j is refused with its line', (text, fault) => {
    expect(yaml(text)).toMatch(fault);
  });

  it('tells all faults at once', () => {
    expect(yaml('[a]\nsequence = x\ntcpflags = y\n[b]\n').split('\n')).toHaveLength(3);
  });

  it("reads names in any case, and knockd's defaults are ours", () => {
    expect(
      yaml('[A]\nSEQUENCE = 1:TCP,2:UDP\nStart_Command = /bin/x %IP%\nSTOP_COMMAND = /bin/y\n'),
    ).toContain(
      '  a: # [A]\n    knock: [1/tcp, 2/udp]\n    within: 25s\n    gap: { max: 25s }\n    for: 10s\n    on_open: ["/bin/x", "%IP%"]\n    on_close: ["/bin/y"]\n',
    );
  });

  it('puts the doors that open and close the same port into one, by name where there are several', () => {
    const rule = (does: string): string =>
      `command = /sbin/iptables -${does} INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n`;
    const text = yaml(
      `[open1]\nsequence = 1,2\n${rule('A')}[open2]\nsequence = 3,4\n${rule('I')}[close2]\nsequence = 4,3\n${rule('D')}[close1]\nsequence = 2,1\n${rule('D')}`,
    );
    expect(text).toMatch(/knock: \[1\/tcp, 2\/tcp\][^#]*close: \[2\/tcp, 1\/tcp\]/);
    expect(text).toMatch(/knock: \[3\/tcp, 4\/tcp\][^#]*close: \[4\/tcp, 3\/tcp\]/);
  });

  it('leaves out a close sequence that opens a door', () => {
    const rule = (does: string): string =>
      `command = /sbin/iptables -${does} INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n`;
    const imported = importKnockd(
      `[open]\nsequence = 1,2\n${rule('A')}[close]\nsequence = 1,2\n${rule('D')}`,
      'k.conf',
    );
    expect(said(imported)).toContain('k.conf:4: close: has the sequence that opens a door; left out');
    expect(imported).toMatchObject({ ok: true, yaml: expect.not.stringContaining('close:') });
  });

  it('lets a long sequence through that a client sends at once', () => {
    const ports = Array.from({ length: 32 }, (_, index) => index + 1);
    expect(yaml(`[a]\nsequence = ${ports}\n`)).toContain('rate: { packets: 64, per: 1s }');
    expect(yaml(`[a]\nsequence = ${ports.slice(0, 20)}\n`)).not.toContain('rate:');
    expect(yaml(`[a]\nsequence = ${ports},33\n`)).toMatch(/the sequence has 33 ports; write at most 32/);
  });

  it('keeps names apart that would be one', () => {
    const text = yaml('[open SSH]\nsequence = 1,2\n[SSH]\nsequence = 3,4\n[Ünï]\nsequence = 5,6\n');
    expect([...text.matchAll(/^ {2}(\S+): #/gm)].map(([, name]) => name)).toEqual(['ssh', 'ssh-2', 'n']);
  });

  it('lets nothing of the foreign file become a key of ours', () => {
    expect(yaml('[a\u2028bans: x]\nsequence = 1,2\n')).toMatch(/^k.conf:1:1: .* has a control character/);
    const text = yaml('[a: {] #]\nsequence = 1,2\ncommand = /bin/a "x\\" ] # b: c"\n');
    expect(parseConfig(text, 'f')).toMatchObject({
      ok: true,
      config: { doors: [{ onOpen: ['/bin/a', 'x" ] # b: c'] }] },
    });
  });

  it('of any text at all gives YAML that our parser takes, or faults with their lines', () => {
    const line = fc.oneof(
      fc.constantFrom(
        '[options]',
        '[a]',
        '[openSSH]',
        '[close SSH]',
        'UseSyslog',
        'sequence = 1,2,3',
        'sequence=3:udp,2',
        'tcpflags = syn,!ack',
        'seq_timeout = 0',
        'cmd_timeout = 99999999999',
      ),
      fc
        .tuple(
          fc.constantFrom(
            'command',
            'stop_command',
            'start_command_6',
            'sequence',
            'tcpflags',
            'interface',
            'logfile',
            'one_time_sequences',
            'target',
          ),
          fc.string({ unit: 'binary', maxLength: 30 }),
        )
        .map(([name, value]) => `${name} = ${value}`),
      fc
        .constantFrom('A', 'D')
        .map((does) => `command = iptables -${does} INPUT -s %IP% -p tcp --dport 22 -j ACCEPT`),
      fc.string({ unit: 'binary', maxLength: 30 }),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const imported = importKnockd(lines.join('\n'), 'k.conf');
        if (imported.ok) expect(parseConfig(imported.yaml, 'f').ok).toBe(true);
        else expect(imported.faults.length).toBeGreaterThan(0);
        for (const each of said(imported).split('\n')) expect(each).not.toMatch(/\p{Cc}/u);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('Importing a portsentry.conf', () => {
  const importing = (text: string, ignored: string | null = null): Imported =>
    importPortsentry(text, 'p.conf', () => ignored);

  it('takes who is ignored as an address that packets come from', () => {
    const ignored = '127.0.0.1/32\n::ffff:198.51.100.7 # as a log wrote it\n2001:db8::/32\n0.0.0.0\nx\n';
    const imported = importing('TCP_PORTS="1"\nIGNORE_FILE="/etc/i"\n', ignored);
    expect(imported.ok && imported.yaml).toContain('never: ["198.51.100.7", "2001:db8::/32"]');
  });

  it('is known by its settings', () => {
    expect(isPortsentry('# x\nTCP_PORTS="1"\n')).toBe(true);
    expect(isPortsentry('[a]\nsequence = 1,2\n')).toBe(false);
  });

  it.each([
    ['TCP_PORTS="1,x"', /p.conf:1:1: TCP_PORTS: "x" is not a port/],
    ['TCP_PORTS="70000"', /"70000" is not a port or range from 1 to 65535/],
    ['BLOCK_TCP="1"', /the file has no ports/],
    ['TCP_PORTS="1\n', /"TCP_PORTS=\\"1" has no closing quote; expected NAME="VALUE"/],
  ])('%j is refused with its line', (text, fault) => {
    expect(said(importing(text))).toMatch(fault);
  });

  it('takes a trigger that is too high, or none, as what it can', () => {
    expect(said(importing('TCP_PORTS="1"\nBLOCK_TCP="1"\nSCAN_TRIGGER="1000"\n'))).toContain(
      '"1000" is taken as 255',
    );
    expect(said(importing('TCP_PORTS="1"\nBLOCK_TCP="1"\nSCAN_TRIGGER="soon"\n'))).toContain(
      '"soon" is taken as 0',
    );
  });

  it.each([0, 1, 5])('with a trigger of %d bans at the touch after', (trigger) => {
    const imported = importing(`TCP_PORTS="1,5-9"\nBLOCK_TCP="1"\nSCAN_TRIGGER="${trigger}"\n`);
    expect(imported).toMatchObject({ ok: true, yaml: expect.stringContaining(`strikes: ${trigger + 1} `) });
    expect(imported).toMatchObject({ ok: true, yaml: expect.stringContaining('decoys: [1/tcp, 5-9/tcp]') });
    expect(imported).toMatchObject({ ok: true, yaml: expect.not.stringContaining('enforce') });
  });
});
