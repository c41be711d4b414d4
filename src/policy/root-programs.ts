/** Programs that are root's alone, or ask systemd or D-Bus to do what only root may. */
const FOR_ROOT: readonly string[] = [
  'su',
  'sudo',
  'doas',
  'runuser',
  'reboot',
  'shutdown',
  'poweroff',
  'halt',
  'systemctl',
  'service',
  'ufw',
  'firewall-cmd',
  'mount',
  'umount',
  'docker',
  'etherwake',
  'wg-quick',
  'rc-service',
  'sv',
  'at',
  'shorewall',
];

/** Whether a program does nothing for a user who is not root and can't become it, whatever the file's mode says. */
export function needsRoot(path: string): boolean {
  return FOR_ROOT.includes(path.split('/').pop() ?? '');
}
