# kernel: ipv6.disable=1
# A kernel without IPv6: said once, nothing is wrong, the door works over IPv4.
make_net
plain_config
refuse 'there is no IPv6 here' test -e /proc/net/if_inet6
check 'the rules go in' $NFKNOCK rules install
start_daemon
check 'status has no problem' $NFKNOCK status
refuse 'the door is closed' connects 192.0.2.1
check 'a knock' knocks 192.0.2.1
check 'opens it' within 10 connects 192.0.2.1
check 'the daemon stops' stop_daemon
