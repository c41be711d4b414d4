import { randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { systemClock } from '../../clock.ts';
import type { ClientKey } from '../../config/client-key.ts';
import { type Address, parseAddress, unmapped } from '../../packet/address.ts';
import { isPort, PORT_MAX } from '../../packet/port.ts';
import { pairOf } from '../../spa/ed25519.ts';
import type { V1Credential } from '../../spa/key.ts';
import {
  doorIdOf,
  innerOf,
  keyIdOf,
  messageOf,
  realmOf,
  SPA_PORT,
  sealV1,
  secretProof,
  V1_KIND,
} from '../../spa/v1.ts';
import { printable, quoted } from '../../text/plain.ts';
import type { KnockOptions } from '../commands/knock.ts';
import { sendDatagram } from '../datagram.ts';
import { doorArgument } from '../door-argument.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure, usage } from '../failure.ts';
import { profilePath, readProfile } from '../knock/profile.ts';
import { codeOf, resolve } from '../resolve.ts';
import { type SshKey, sshKeyIn, sshKeyInAgent } from './ssh-key.ts';

/** What proves a packet. */
interface Prover {
  readonly credential: V1Credential;
  prove(message: Uint8Array): Promise<Buffer>;
}

/**
 * Sends one packet over each family that the host has, since what connects next chooses by itself; answers with where
 * packets went. Rejects with CommandFailure.
 */
export async function knockWithKey(
  host: string,
  ports: readonly string[],
  options: KnockOptions,
  say: (line: string) => void,
): Promise<readonly string[]> {
  const misplaced = (['delay', 'udp'] as const).filter((name) => options[name] !== undefined);
  if (ports.length > 0 || misplaced.length > 0)
    throw usage(
      'a key opens by one packet: leave the ports, --delay and --udp out; --port names another port',
    );
  const key = keyOf(options, host);
  const door = doorOf(options, key);
  const port = portOf(options, key);
  const named = options.address === undefined ? null : addressOf(options.address);
  const prover = await proverOf(options, key);
  const addresses = chosen(await resolve(host, options), named);
  const realm = realmOf({ bytes: key.realm, until: null });

  const sent: string[] = [];
  let refused = '';
  for (const address of addresses) {
    const inner = innerOf({
      kind: V1_KIND[prover.credential.kind],
      seconds: 0,
      time: systemClock.wall(),
      key: keyIdOf(prover.credential),
      door: doorIdOf(door),
      address: named,
      nonce: nonceOf(),
    });
    const proof = await prover.prove(messageOf(realm, inner));
    try {
      await sendDatagram(address, port, sealV1(realm, inner, proof, randomBytes(16)));
      sent.push(address);
      say(`one packet for door ${door} to ${port}/udp of ${address}`);
    } catch (error) {
      refused = `${port}/udp of ${address} (${codeOf(error)})`;
    }
  }
  // A host may have addresses of a family that this machine has no way to.
  if (sent.length > 0) return sent;
  throw new CommandFailure(
    EXIT.failed,
    `no packet went out to ${refused}: check the address, the route and this machine's firewall`,
  );
}

/** One of each family; of the family of the address that is named, where one is: two would be the same knock twice. */
function chosen(addresses: readonly string[], named: Address | null): readonly string[] {
  const ofFamily = (family: number): readonly string[] =>
    addresses.filter((address) => isIP(address) === family).slice(0, 1);
  const both = [...ofFamily(6), ...ofFamily(4)];
  if (named === null) return both;
  const own = ofFamily(named.family);
  return own.length > 0 ? own : addresses.slice(0, 1);
}

function keyOf({ key, sshKey }: KnockOptions, host: string): ClientKey {
  const file = key ?? profilePath(host);
  const profile = readProfile(file, (problem) =>
    key === undefined
      ? `${quoted(sshKey ?? '')} proves who knocks, not at which server, and ${problem}: keep there what "nfknock key new NAME --ssh" made on the server, or name it with --key FILE`
      : `${problem}: name the file that nfknock key new made`,
  );
  if (profile.key !== null) return profile.key;
  throw new CommandFailure(
    EXIT.failed,
    `${printable(file)} has a sequence and no key: name the file that nfknock key new made`,
  );
}

function doorOf({ door }: KnockOptions, { doors }: ClientKey): string {
  if (door !== undefined) {
    const name = doorArgument(door);
    // Nothing answers, so that a slip of the pen would be looked for elsewhere. The server may have given it more doors since.
    if (doors.length > 0 && !doors.includes(name))
      process.stderr.write(
        `nfknock: this key was made for ${doors.join(', ')}, and ${quoted(name)} is asked for all the same; nothing opens unless the server has given it that door since\n`,
      );
    return name;
  }
  const [only, ...others] = doors;
  if (only !== undefined && others.length === 0) return only;
  throw usage(
    others.length === 0
      ? 'no door: add --door NAME'
      : `this key opens ${doors.join(', ')}: say which with --door NAME`,
  );
}

function portOf({ port: text }: KnockOptions, { port }: ClientKey): number {
  if (text === undefined) return port ?? SPA_PORT;
  const number = /^\d{1,5}(\/udp)?$/.test(text) ? Number.parseInt(text, 10) : 0;
  if (isPort(number)) return number;
  throw usage(`${quoted(text)} is no UDP port: write 1 to ${PORT_MAX}`);
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return unmapped(address);
  throw usage(
    `${quoted(text)} is no address: write the one that the server will see, such as 198.51.100.7 or 2001:db8::7`,
  );
}

async function proverOf({ sshKey }: KnockOptions, { proof }: ClientKey): Promise<Prover> {
  if (sshKey !== undefined) return ofSsh(await sshKeyIn(sshKey));
  if (proof === null) throw usage('the key file names the server alone: add --ssh-key FILE');
  if (proof.kind === 'ssh') return ofSsh(sshKeyInAgent(proof.publicKey, proof.line));
  if (proof.kind === 'secret')
    return { credential: proof, prove: async (message) => secretProof(proof.secret, message) };
  const { privateKey, publicKey } = pairOf(proof.seed);
  return {
    credential: { kind: 'ed25519', publicKey },
    prove: async (message) => sign(null, message, privateKey),
  };
}

function ofSsh({ publicKey, sign: signed }: SshKey): Prover {
  return { credential: { kind: 'ssh', publicKey }, prove: signed };
}

/** Never 0, which says that there is none. */
function nonceOf(): number {
  return randomBytes(4).readUInt32BE(0) || 1;
}
