/** Configurations as a user would write them, by the name of their golden files. */
export const CASES: Readonly<Record<string, object>> = {
  // One door and nothing else: the least there is.
  least: { doors: { ssh: { knock: [7000, 8000], opens: [22] } } },

  // Both protocols, a close sequence, decoys with a range, services open to everyone.
  usual: {
    doors: {
      ssh: {
        knock: ['7000/tcp', '8000/udp', '9000/tcp'],
        opens: ['22/tcp'],
        close: ['9001/tcp', '8001/udp', '7001/tcp'],
      },
      dns: { knock: ['7100/tcp', '8100/udp'], opens: ['53/tcp', '53/udp'] },
    },
    decoys: ['23/tcp', '2323/tcp', '5900-5910/tcp', '161/udp'],
    allow: ['80/tcp', '443/tcp', '443/udp'],
  },

  // Every port that is neither open nor a knock is a decoy; allowed ports and DHCP answers are not.
  'decoys-all': {
    doors: { ssh: { knock: [7000, '8000/udp'], opens: [22] } },
    decoys: 'all',
    allow: [80, '123/udp'],
  },

  // A ban shows on hidden ports alone.
  hidden: {
    doors: { ssh: { knock: [7000, 8000], opens: [22] } },
    decoys: [23],
    allow: [80],
    bans: { scope: 'hidden' },
  },

  // Bans are said and not laid.
  shadow: { doors: { ssh: { knock: [7000, 8000], opens: [22] } }, bans: { enforce: false } },

  // Who touches the service without a grant is heard of.
  'strike-on-service': {
    doors: { ssh: { knock: [7000, 8000], opens: [22] } },
    bans: { strike_on_service: true },
  },

  // Copied and dropped instead of queued.
  nflog: {
    listen: { source: 'nflog', group: 7 },
    doors: { ssh: { knock: [7000, '8000/udp'], opens: [22] } },
    decoys: [23],
  },

  // Who is not let in is told that nothing listens there.
  closed: {
    listen: { source: 'nflog' },
    doors: { ssh: { knock: [7000, '8000/udp'], opens: [22] } },
    decoys: 'all',
    answer: 'closed',
  },
  'closed-routed': {
    listen: { source: 'nflog' },
    doors: { web: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5' } },
    decoys: [23],
    answer: 'closed',
    bans: { scope: 'hidden', strike_on_service: true },
  },

  // Two queues, two interfaces.
  interfaces: {
    listen: { queues: '4-5', interfaces: ['eth0', 'ppp0'] },
    doors: { ssh: { knock: [7000, 8000], opens: [22] } },
  },

  // A knock port with a live service behind it is copied and goes on.
  observed: {
    listen: { group: 9 },
    doors: { ssh: { knock: ['80/tcp', '7000/tcp', '53/udp'], opens: [22] } },
    allow: [80, 443, '53/udp'],
  },

  // The first door opens the second door's knock: seen only by who holds the first grant.
  chained: {
    doors: {
      outer: { knock: [7000, 8000], opens: [9000] },
      inner: { knock: [9000, 9100], opens: [22] },
    },
  },
  'chained-nflog': {
    listen: { source: 'nflog' },
    doors: {
      outer: { knock: [7000, 8000], opens: [9000] },
      inner: { knock: [9000, 9100], opens: [22] },
    },
  },

  // A set a door instead of a rule a grant.
  sets: {
    doors: {
      ssh: { knock: [7000, 8000], opens: [22] },
      mail: { knock: [7100, 8100], opens: ['25/tcp', '143/tcp', '993/tcp'] },
    },
    grants: 'set',
  },

  // More ports than one multiport match can name.
  'many-ports': {
    doors: {
      much: {
        knock: [7000, 8000],
        opens: [1001, 1003, 1005, 1007, 1009, 1011, 1013, 1015, 1017, 1019, 1021, 1023, 1025, 1027, 1029, 1031],
      },
    },
    decoys: ['2001-2003/tcp', '2005-2007/tcp', '2009-2011/tcp', '2013-2015/tcp', '2017-2019/tcp', '2021-2023/tcp', '2025-2027/tcp', '2029-2031/tcp'],
  },

  // The service is behind this machine, routed to.
  routed: {
    doors: { web: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5' } },
    decoys: [23],
  },

  // The service is behind this machine, and this machine's port is translated to it, in both families.
  translated: {
    doors: {
      web: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5', dnat: true },
      six: { knock: [7100, 8100], opens: [8443], forward: '2001:db8:5::5', dnat: true },
      ssh: { knock: [7200, 8200], opens: [22] },
    },
  },
  'translated-sets': {
    listen: { interfaces: ['eth0'] },
    doors: { web: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5', dnat: true } },
    grants: 'set',
    bans: { scope: 'hidden', strike_on_service: true },
  },

  // Grants and knocks get a mark before any table judges; what everybody reaches, and what is not ours, gets none.
  marked: {
    doors: {
      ssh: { knock: [7000, '8000/udp', 80], opens: [22, '60000-61000/udp'], grant_mark: '0x4e46' },
      other: { knock: [7000, 7200], opens: [25] },
      mail: { knock: [7000, 7100], opens: [993], grant_mark: 9 },
    },
    allow: [80],
  },
  'marked-sets': {
    listen: { interfaces: ['eth0'] },
    doors: {
      routed: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5', grant_mark: 1 },
      translated: { knock: [7100, 8100], opens: [8443], forward: '2001:db8:5::5', dnat: true, grant_mark: 4294967295 },
    },
    grants: 'set',
  },
};
