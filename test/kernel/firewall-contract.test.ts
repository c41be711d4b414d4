import { afterAll, beforeAll, describe } from 'vitest';
import { CONTRACT_CONFIG, firewallContract } from '../support/firewall-contract.ts';
import { type FirewallProxy, startFirewall } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

describe('on the kernel', () => {
  let net: Net;
  let proxy: FirewallProxy;
  beforeAll(async () => {
    net = await createNet();
    proxy = await startFirewall(net.server.namespace, CONTRACT_CONFIG);
    await proxy.close();
  });
  afterAll(async () => {
    await proxy?.kill();
    net?.close();
  });

  for (const [grants, grantMark] of [
    ['rule', null],
    ['set', null],
    ['rule', 0x4e46],
    ['set', 0xffff_ffff],
  ] as const) {
    const doors = CONTRACT_CONFIG.doors.map((door) => ({ ...door, grantMark }));
    const config = { ...CONTRACT_CONFIG, doors, grants };
    firewallContract(
      `iptables with one ${grants} a ${grants === 'rule' ? 'grant' : 'door'}${grantMark === null ? '' : ', marked'}`,
      async () => {
        await proxy.reopen(config);
        return proxy;
      },
      config,
    );
  }
});
