import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileWhole } from '../../files/write.ts';
import { startProcess } from '../../process/start.ts';
import { NAMESPACE, parseSshPublicKey, signatureOfArmor } from '../../spa/sshsig.ts';
import { printable, quoted } from '../../text/plain.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure, usage } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/*
 * The SSH key that somebody has already: OpenSSH's own ssh-keygen signs with it, which asks an agent first, and else
 * for the passphrase on the terminal. This program never sees the private half.
 */

export interface SshKey {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Buffer>;
}

/** What signs is small. */
const OUTPUT_BYTES_MAX = 65_536;

/** The key in a file, which is the private half, or the public one where an agent has the other. */
export async function sshKeyIn(file: string): Promise<SshKey> {
  const publicKey = publicKeyOf(await publicLine(file), file);
  return { publicKey, sign: (message) => signed(file, message) };
}

/** The key whose private half an agent has, by its public one. */
export function sshKeyInAgent(publicKey: Uint8Array, line: string): SshKey {
  return {
    publicKey,
    async sign(message) {
      const folder = mkdtempSync(join(tmpdir(), 'nfknock-'));
      try {
        writeFileWhole(join(folder, 'key.pub'), Buffer.from(`${line}\n`));
        return await signed(join(folder, 'key.pub'), message);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/** The 32 bytes of a public key's line. Throws CommandFailure, with what to do where it is of another type. */
export function publicKeyOf(line: string, file: string): Buffer {
  const read = parseSshPublicKey(line);
  if (read.ok) return read.publicKey;
  const fix = 'make one that can: ssh-keygen -t ed25519';
  if (read.type === null)
    throw usage(`${file} holds no public SSH key: name ~/.ssh/id_ed25519.pub, or ${fix}`);
  if (read.type === 'ssh-ed25519') throw usage(`the ssh-ed25519 key in ${file} is not whole: copy it again`);
  throw usage(`an ${read.type} key can't knock (${file}): ${fix}`);
}

async function publicLine(file: string): Promise<string> {
  const named = textOf(file);
  if (parseSshPublicKey(named).ok || !named.includes('PRIVATE KEY')) return named;
  try {
    return readFileSync(`${file}.pub`, 'utf8');
  } catch {
    return (await sshKeygen(['-y', '-f', file], new Uint8Array())).trim();
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`${quoted(file)} can't be read (${codeOf(error)}): name a private or public SSH key`);
  }
}

async function signed(file: string, message: Uint8Array): Promise<Buffer> {
  const armor = await sshKeygen(['-q', '-Y', 'sign', '-n', NAMESPACE, '-f', file], message);
  const signature = signatureOfArmor(armor);
  if (signature !== undefined) return signature;
  throw new CommandFailure(EXIT.failed, 'ssh-keygen gave no Ed25519 signature: use OpenSSH 8.1 or later');
}

function sshKeygen(args: readonly string[], input: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (why: string): void =>
      reject(
        new CommandFailure(
          EXIT.failed,
          `ssh-keygen did not sign (${printable(why)}): is the key in the agent (ssh-add -l), or its file readable?`,
        ),
      );
    const child = startProcess(
      'ssh-keygen',
      args,
      { stdin: 'pipe', output: 'pipe', group: 'ours' },
      (error) => failed(codeOf(error)),
    );
    if (child === undefined) return;
    let out = '';
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (out.length < OUTPUT_BYTES_MAX) out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < OUTPUT_BYTES_MAX) said += text;
    });
    // It may end without having read.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    child.on('close', (code) => {
      if (code === 0) resolve(out);
      else failed(said.trim().split('\n').at(-1) ?? '');
    });
  });
}
