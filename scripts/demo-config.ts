/** The configuration that the demo shows, and that the tests scan from end to end. */
export const DEMO_CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '4s' } },
  decoys: ['23/tcp', '2323/tcp', '3389/tcp', '5900-5910/tcp'],
  bans: { strikes: 3, within: '60s', for: '10m' },
} as const;

/** The same as people write it. */
export const DEMO_YAML: readonly string[] = [
  'doors:',
  '  ssh:',
  '    knock: [7000/tcp, 8000/udp, 9000/tcp]   # in this order',
  '    opens: [22/tcp]',
  '    for: 4s                                 # for new connections; made ones stay',
  'decoys: [23/tcp, 2323/tcp, 3389/tcp, 5900-5910/tcp]',
  'bans: { strikes: 3, within: 60s, for: 10m }',
];
