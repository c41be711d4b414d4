import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Change, Firewall, Grantee } from '../../src/firewall/firewall.ts';
import { formatCidr } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';
import { cidr, configOf } from './configs.ts';

/** What the contract tries of a `Firewall`, which may be in another process. */
export interface Tried
  extends Pick<Firewall, 'install' | 'apply' | 'readBack' | 'intact' | 'remove' | 'close'> {
  replace(config: Config): Promise<readonly unknown[]>;
}

export const CONTRACT_CONFIG: Config = configOf({
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp'], opens: ['22/tcp'] },
    web: { knock: ['7100/tcp', '8100/udp'], opens: ['80/tcp', '443/tcp', '443/udp'] },
  },
});

const LATER = 60_000;

/** The promises of `Firewall`, which every implementation keeps. `make` begins with nothing held. */
export function firewallContract(name: string, make: () => Promise<Tried>, config: Config): void {
  describe(name, () => {
    let firewall: Tried;
    const open = (door: string, who: string, ms: number = LATER): Change => ({
      change: 'open',
      door,
      grantee: grantee(who),
      until: Date.now() + ms,
    });
    const close = (door: string, who: string): Change => ({ change: 'close', door, grantee: grantee(who) });
    const ban = (target: string, ms: number = LATER): Change => ({
      change: 'ban',
      target: cidr(target),
      until: Date.now() + ms,
    });
    const unban = (target: string): Change => ({ change: 'unban', target: cidr(target) });
    const grants = async (): Promise<readonly string[]> =>
      (await firewall.readBack()).grants.map(({ door, grantee: who }) => `${door} ${wordOf(who)}`).sort();
    const bans = async (): Promise<readonly string[]> =>
      (await firewall.readBack()).bans.map(({ target }) => formatCidr(target)).sort();

    beforeEach(async () => {
      firewall = await make();
      await firewall.install();
    });
    afterEach(async () => {
      await firewall.remove();
      await firewall.close();
    });

    it('holds what was opened, for a host, a network and everyone, until it is closed', async () => {
      const who = ['192.0.2.7', '198.51.100.0/24', '2001:db8::7', '2001:db8:1::/48', 'any'];
      await firewall.apply(who.map((each) => open('ssh', each)));
      expect(await grants()).toEqual(who.map((each) => `ssh ${each}`).sort());
      await firewall.apply(who.slice(1).map((each) => close('ssh', each)));
      expect(await grants()).toEqual(['ssh 192.0.2.7']);
    });

    it('holds a renewed grant once, with its new end', async () => {
      await firewall.apply([open('ssh', '192.0.2.7', 5_000)]);
      await firewall.apply([open('ssh', '192.0.2.7', 90_000)]);
      const { grants: held } = await firewall.readBack();
      expect(held).toHaveLength(1);
      expect(Math.abs((held[0]?.until ?? 0) - Date.now() - 90_000)).toBeLessThan(3_000);
    });

    it('keeps the doors of one source apart', async () => {
      await firewall.apply([open('ssh', '192.0.2.7'), open('web', '192.0.2.7')]);
      await firewall.apply([close('ssh', '192.0.2.7')]);
      expect(await grants()).toEqual(['web 192.0.2.7']);
    });

    it('takes the last of several changes to one grant or ban', async () => {
      await firewall.apply([open('ssh', '192.0.2.7'), close('ssh', '192.0.2.7'), open('web', '192.0.2.7')]);
      await firewall.apply([
        ban('203.0.113.9'),
        unban('203.0.113.9'),
        unban('203.0.113.8'),
        ban('203.0.113.8'),
      ]);
      expect(await grants()).toEqual(['web 192.0.2.7']);
      expect(await bans()).toEqual(['203.0.113.8']);
    });

    it('lets nobody in through a door that the configuration does not know, nor after the end', async () => {
      await firewall.apply([open('cellar', '192.0.2.7'), open('ssh', '192.0.2.8', -1)]);
      expect(await grants()).toEqual([]);
    });

    it('closes what is not open and unbans who is not banned without a word', async () => {
      await firewall.apply([close('ssh', '192.0.2.7'), unban('203.0.113.9'), unban('2001:db8::/64')]);
      expect(await firewall.readBack()).toEqual({ grants: [], bans: [] });
    });

    it('holds bans of both families, a ban of longer time in the place of a shorter one', async () => {
      await firewall.apply([ban('203.0.113.9', 5_000), ban('2001:db8:9::/64')]);
      await firewall.apply([ban('203.0.113.9', 90_000)]);
      expect(await bans()).toEqual(['2001:db8:9::/64', '203.0.113.9']);
      const four = (await firewall.readBack()).bans.find((each) => each.target.address.family === 4);
      expect(Math.abs((four?.until ?? 0) - Date.now() - 90_000)).toBeLessThan(3_000);
    });

    it('refuses a ban beyond the limit with the code FULL, and takes it where another is lifted with it', async () => {
      await firewall.replace({ ...config, bans: { ...config.bans, limit: 2 } });
      await firewall.apply([ban('203.0.113.1'), ban('203.0.113.2')]);
      await expect(firewall.apply([ban('203.0.113.3')])).rejects.toMatchObject({ code: 'FULL' });
      await firewall.apply([unban('203.0.113.1'), ban('203.0.113.3')]);
      expect(await bans()).toEqual(['203.0.113.2', '203.0.113.3']);
    });

    it('keeps grants and bans when it is installed again', async () => {
      await firewall.apply([open('ssh', '192.0.2.7'), ban('203.0.113.9')]);
      await firewall.install();
      expect(await grants()).toEqual(['ssh 192.0.2.7']);
      expect(await bans()).toEqual(['203.0.113.9']);
      expect(await firewall.intact()).toBe(true);
    });

    it('keeps the grants of doors that are still there when the configuration is replaced', async () => {
      await firewall.apply([open('ssh', '192.0.2.7'), open('web', '192.0.2.7'), ban('203.0.113.9')]);
      await firewall.replace({ ...config, doors: config.doors.filter((door) => door.name === 'web') });
      expect(await grants()).toEqual(['web 192.0.2.7']);
      expect(await bans()).toEqual(['203.0.113.9']);
    });

    it('holds nothing once it is removed, which may be said twice', async () => {
      await firewall.apply([open('ssh', '192.0.2.7'), ban('203.0.113.9')]);
      await firewall.remove();
      await firewall.remove();
      expect(await firewall.readBack()).toEqual({ grants: [], bans: [] });
      expect(await firewall.intact()).toBe(false);
    });

    it('refuses everything once it is closed', async () => {
      await firewall.remove();
      await firewall.close();
      await firewall.close();
      await expect(firewall.install()).rejects.toMatchObject({ code: 'CLOSED' });
      await expect(firewall.apply([open('ssh', '192.0.2.7')])).rejects.toMatchObject({ code: 'CLOSED' });
      await expect(firewall.readBack()).rejects.toMatchObject({ code: 'CLOSED' });
      firewall = await make();
    });
  });
}

function grantee(who: string): Grantee {
  return who === 'any' ? 'any' : cidr(who);
}

function wordOf(who: Grantee): string {
  return who === 'any' ? 'any' : formatCidr(who);
}
