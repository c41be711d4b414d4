#!/bin/sh
# The first steps of a machine in namespaces of this one, until its own systemd takes over:
#
#   unshare --pid --mount --uts --ipc --cgroup --fork sh scripts/boot-root.sh ROOT SCRATCH [WORD…]
#
# WORD: what its command line has, as a kernel's.
# ROOT is never changed: what the machine writes goes to SCRATCH/upper. SCRATCH has the folders upper, work and root. The
# kernel is this machine's: what it would be told of more than a network is not told. A boot has an id of its own, though,
# and a real-time clock unless NFKNOCK_BOOT_RTC is `none`.
set -e
root="$1"
scratch="$2"
shift 2
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
if [ -e proc/sysrq-trigger ]; then mount --bind /dev/null proc/sysrq-trigger; fi
for each in kernel vm fs; do
  mount --bind "proc/sys/$each" "proc/sys/$each"
  mount -o remount,bind,ro "proc/sys/$each"
done
cat proc/sys/kernel/random/uuid >"$scratch/boot-id"
mount --bind "$scratch/boot-id" proc/sys/kernel/random/boot_id
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs sys/class
if [ "${NFKNOCK_BOOT_RTC:-}" != none ]; then mkdir -p sys/class/rtc/rtc0; fi
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for each in null zero full random urandom tty; do
  touch "dev/$each"
  mount --bind "/dev/$each" "dev/$each"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p .before
pivot_root . .before
umount -l /.before
exec env -i container=other PATH=/usr/sbin:/usr/bin /sbin/init --show-status=false "$@"
