{
  'targets': [
    {
      'target_name': 'nfqueue',
      'sources': [
        'src/addon.c', 'src/handle.c', 'src/reader.c', 'src/nfqueue.c', 'src/nflog.c', 'src/netlink.c',
        'src/capture.c', 'src/socket.c', 'src/proc.c', 'src/nfnl.c', 'src/notify.c', 'src/fatal.c', 'src/abort.c',
        'src/clock.c',
      ],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags': ['-Wall', '-Wextra', '-Wshadow', '-Wconversion', '-fvisibility=hidden'],
      'cflags_c': ['-std=gnu17'],
    },
  ],
}
