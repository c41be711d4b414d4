# systemd: netfilter-persistent
# boots: 3
# Boot beside iptables-persistent, whose saved rules have the owner's and ours among them, with sets.
BESIDE=netfilter-persistent
. test/guest/systemd/boot-order.sh
owners_rules() { iptables -C INPUT -s 203.0.113.7 -j DROP && ip6tables -C INPUT -s 2001:db8:7::/48 -j DROP; }
case "$BOOT" in
  1)
    iptables -A INPUT -s 203.0.113.7 -j DROP
    ip6tables -A INPUT -s 2001:db8:7::/48 -j DROP
    check 'a ban is made' nfknock ban 198.51.100.9 --for 4h
    check 'all is saved' netfilter-persistent save
    check 'with rules of ours that name sets' grep -q -e '--match-set nfknock-' /etc/iptables/rules.v4
    check 'over IPv6 too' grep -q -e '--match-set nfknock-' /etc/iptables/rules.v6
    ;;
  2)
    check 'what was saved is there' owners_rules
    check 'our jump is there once' test "$(iptables -S INPUT | grep -c -e '-j NFKNOCK$')" = 1
    check 'the ban is in force' ipset test nfknock-ban4 198.51.100.9
    reloaded 'restart, the daemon alive' systemctl restart netfilter-persistent
    check 'with what was saved' owners_rules
    # As an owner has it who saved before there was nfknock.
    sed -i /NFKNOCK/d /etc/iptables/rules.v4 /etc/iptables/rules.v6
    reloaded 'restart with rules saved without ours, the daemon alive' systemctl restart netfilter-persistent
    end_daemon
    reloaded 'restart with rules saved without ours, the daemon dead' systemctl restart netfilter-persistent
    echo 'this is no configuration' >>/etc/nfknock/nfknock.yaml
    ;;
  3) check 'what was saved is there' owners_rules ;;
esac
