# systemd: ufw
# boots: 3
# Boot beside ufw, which lets everybody in at the protected port.
BESIDE=ufw
. test/guest/systemd/boot-order.sh
case "$BOOT" in
  2)
    check 'ufw lets in at port 22' sh -c 'iptables -S ufw-user-input | grep -q -e "--dport 22 -j ACCEPT"'
    reloaded 'ufw reload, the daemon alive' ufw reload
    reloaded 'restart, the daemon alive' systemctl restart ufw
    end_daemon
    reloaded 'restart, the daemon dead' systemctl restart ufw
    echo 'this is no configuration' >>/etc/nfknock/nfknock.yaml
    ;;
esac
