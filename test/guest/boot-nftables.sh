# systemd: nftables
# boots: 3
# Boot beside Debian's nftables.conf, which begins with `flush ruleset`, and its reload with the daemon alive and dead.
BESIDE=nftables
. test/guest/systemd/boot-order.sh
case "$BOOT" in
  2)
    reloaded 'reload, the daemon alive' systemctl reload nftables
    reloaded 'restart, the daemon alive' systemctl restart nftables
    check 'the daemon goes on' is_ready
    end_daemon
    reloaded 'reload, the daemon dead' systemctl reload nftables
    reloaded 'restart, the daemon dead' systemctl restart nftables
    reloaded 'stop, the daemon dead' systemctl stop nftables
    echo 'this is no configuration' >>/etc/nfknock/nfknock.yaml
    ;;
esac
