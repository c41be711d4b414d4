import { afterAll, beforeAll, describe } from 'vitest';
import { CONTRACT_CONFIG, firewallContract } from './firewall-contract.ts';
import { type FirewallProxy, startFirewall } from './firewall-proxy.ts';
import { createNet, type Net } from './net.ts';

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

  for (const grants of ['rule', 'set'] as const) {
    const config = { ...CONTRACT_CONFIG, grants };
    firewallContract(
      `iptables with one ${grants} a ${grants === 'rule' ? 'grant' : 'door'}`,
      async () => {
        await proxy.reopen(config);
        return proxy;
      },
      config,
    );
  }
});
