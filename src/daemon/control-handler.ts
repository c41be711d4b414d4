import type { Refusal } from '../control/answers.ts';
import type { Request } from '../control/message.ts';
import type { Answer } from '../control/output.ts';
import type { CommandAnswer } from '../engine/command.ts';
import { type Address, parseAddress } from '../packet/address.ts';
import { type Cidr, hostCidr, offenderOf } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import type { Running } from './dependencies.ts';
import { unbanAll } from './lift-bans.ts';
import type { Reloader } from './reload.ts';
import { rowsOf } from './rows.ts';
import { statusOf } from './status.ts';

/** Carries out what people ask over the control socket. */
export function createHandler(core: Running, reloader: Reloader): (request: Request) => Promise<Answer> {
  const { engine, clock } = core;
  const { grantRow, banRow, sources, explain } = rowsOf(core);

  return async (request) => {
    switch (request.command) {
      case 'status':
        return done(statusOf(core));
      case 'grants':
        return done(lazily(engine.eachGrant(), grantRow));
      case 'grant':
        return grant(request);
      case 'revoke': {
        const { address, door, here } = request;
        return changed(
          core.execute(
            { command: 'revoke', address: read(address), ...(door === undefined ? {} : { door }) },
            whereOf(here),
          ),
        );
      }
      case 'bans':
        return done(lazily(engine.eachBan(), banRow));
      case 'ban':
        return ban(request);
      case 'unban':
        return unban(request);
      case 'sources':
        return done(await sources(request.limit));
      case 'explain':
        return done(explain(read(request.address)));
      case 'keys':
        return done(core.keys.rows());
      case 'key_revoke':
        return revokeKey(request.name, request.cut === true ? 'cut' : 'keep');
      case 'reload':
        return reloader.fromControl();
      case 'stand_down':
        return standDown();
      case 'subscribe':
        return done({});
      default:
        return request satisfies never;
    }
  };

  /** It takes root to stand down; who asks here only has that looked at now. */
  async function standDown(): Promise<Answer> {
    await core.standDown.look();
    return done({ stood_down: core.standDown.now() !== undefined });
  }

  async function revokeKey(name: string, connections: 'cut' | 'keep'): Promise<Answer> {
    const ended = core.keys.revoke(name);
    if (ended !== undefined) {
      const answer = await changed({ ok: true, changed: ended.length });
      const targets = ended.map(({ grantee, source }) => (grantee === 'any' ? hostCidr(source) : grantee));
      if (connections === 'cut')
        await core.firewall.apply(targets.map((target) => ({ change: 'cut', target })));
      return answer;
    }
    return refuse('unknown key', 'no key has that name', 'nfknock key list has them');
  }

  async function grant(request: Request & { command: 'grant' }): Promise<Answer> {
    const address = read(request.address);
    const { door, reason } = request;
    const answer = core.execute(
      {
        command: 'grant',
        door,
        address,
        ...(request.for === undefined ? {} : { for: milliseconds(request.for) }),
        ...(reason === undefined ? {} : { reason }),
      },
      whereOf(request.here),
    );
    if (!answer.ok) return refused(answer);
    await core.effects.drained();
    const made = engine.grant(door, hostCidr(address));
    if (made !== undefined) return done(grantRow(made));
    return refuse(
      'failed',
      'the kernel did not take the rule',
      'see firewall.failed in the log, and `nfknock status`',
    );
  }

  /** In a fleet also what this machine knows nothing of is lifted, unless it is to stay here. */
  async function unban(request: Request & { command: 'unban' }): Promise<Answer> {
    const fleet = request.here === true ? undefined : core.life;
    if ('all' in request) {
      return changed(fleet?.sharesBans() === true ? await fleet.lifting.all(liftHere) : await unbanAll(core));
    }
    const address = read(request.address);
    const answer = core.execute({ command: 'unban', address }, 'here');
    fleet?.lifting.host(address);
    return changed(answer);
  }

  /** The others are told otherwise. */
  function liftHere(targets: readonly Cidr[]): void {
    for (const { address } of targets) core.execute({ command: 'unban', address }, 'here');
  }

  async function ban(request: Request & { command: 'ban' }): Promise<Answer> {
    const address = read(request.address);
    const answer = core.execute(
      {
        command: 'ban',
        address,
        ...(request.for === undefined ? {} : { for: milliseconds(request.for) }),
      },
      whereOf(request.here),
    );
    if (!answer.ok) return refused(answer);
    await core.effects.drained();
    const made = engine.ban(address);
    if (made !== undefined) return done(banRow(made));
    const until = clock.now() + (request.for ?? core.config().bans.for);
    return done({
      ...banRow({ target: offenderOf(address), since: clock.now(), until, count: 1, origin: 'order' }),
      shadow: true,
    });
  }

  function changed(answer: CommandAnswer): Promise<Answer> | Answer {
    if (!answer.ok && answer.reason !== 'not found') return refused(answer);
    const count = answer.ok ? answer.changed : 0;
    return core.effects.drained().then(() => done({ changed: count }));
  }
}

function whereOf(here: true | undefined): 'here' | undefined {
  return here === true ? 'here' : undefined;
}

/** A row at a time: a full table must not hold the daemon up. */
function* lazily<Item, Row>(items: Iterable<Item>, row: (item: Item) => Row): Iterable<Row> {
  for (const item of items) yield row(item);
}

/** Requests have been checked: a text that is no address can't come here. */
function read(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError('the request was not checked');
  return address;
}

function done(data: unknown): Answer {
  return { ok: true, data } as Answer;
}

export function refuse(code: Refusal['code'], message: string, fix: string): Answer {
  return { ok: false, error: { code, message, fix } };
}

function refused(answer: Extract<CommandAnswer, { ok: false }>): Answer {
  switch (answer.reason) {
    case 'unknown door':
      return refuse('unknown door', 'no door has that name', 'nfknock status lists the doors');
    case 'never banned':
      return refuse(
        'never banned',
        'this address is never banned',
        'it is in bans.never, or belongs to this machine, its gateways or its name servers',
      );
    case 'full':
      return refuse('full', 'no more grants fit', 'revoke some: nfknock grants lists them');
    case 'banned':
    case 'everybody':
    case 'not found':
      return refuse(
        'failed',
        'there is nothing to change',
        'nfknock grants and nfknock bans list what there is',
      );
    default:
      return answer.reason satisfies never;
  }
}
