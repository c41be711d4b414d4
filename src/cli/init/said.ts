import type { Found } from './survey.ts';

/** What was found on the machine, for whoever is asked. */
export function foundLines(found: Found): readonly string[] {
  const { interfaces, ssh, services, session, inputDefaults, neighbours, clock } = found;
  const of = (family: 4 | 6): string => `${inputDefaults[family] ?? 'unknown'} over IPv${family}`;
  const named = services.map(({ port, program }) => (program === '' ? port : `${port} (${program})`));
  return [
    'Found on this machine:',
    `  network interfaces      ${interfaces.join(', ') || 'none'}`,
    `  SSH server              ${ssh.join(', ') || 'none'}`,
    `  services                ${named.join(', ') || 'none'}`,
    `  you are connected from  ${session?.client ?? 'no other machine (console)'}`,
    `  policy of INPUT         ${of(4)}, ${of(6)}`,
    `  clock                   ${{ right: 'synchronised', kept: 'not synchronised; it has a real-time clock', wrong: 'not synchronised, and no real-time clock' }[clock]}`,
    ...neighbours.map((each) => `  beside nfknock          ${each}`),
  ];
}

/** What to do from now on. `boot`: whether it is started by the machine's own systemd. `fleet`: the earlier one had a fleet; a new one has none. */
export function nextLines(
  config: string,
  replaces: string | null,
  boot: 'started' | 'by hand',
  fleet: 'left' | 'none',
): readonly string[] {
  return [
    '',
    'Done. From now on:',
    boot === 'started'
      ? '  it is started at each boot, and the ports are closed before the network is there'
      : `  there is no systemd unit here: start "nfknock run -c ${config}" at boot yourself`,
    '  nfknock status        how it is        nfknock tail -f       what happens',
    '  nfknock doctor        what stands in the way on this machine',
    '  nfknock key new       a key for somebody else',
    ...(replaces === null ? [] : [`  your earlier configuration is ${replaces}`]),
    ...(fleet === 'none'
      ? []
      : [
          `  this machine has left its fleet: to be a member again copy \`fleet\` over from there; in either case`,
          '  "nfknock doctor --drop-in" fits the unit\'s walls to the configuration',
        ]),
  ];
}
