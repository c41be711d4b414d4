import { memoryFirewall } from '../../../src/firewall/memory.ts';
import { CONTRACT_CONFIG, firewallContract } from '../../support/firewall-contract.ts';

firewallContract(
  'the firewall that only remembers',
  async () => memoryFirewall({ config: CONTRACT_CONFIG, now: Date.now }),
  CONTRACT_CONFIG,
);
