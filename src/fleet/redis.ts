import { sentenceOf } from '../text/error.ts';
import type { Bus, Done, Telling } from './bus.ts';
import { claimMark } from './redis-claim.ts';
import { type Connection, isRefusal, type Reply } from './redis-connect.ts';
import { type Keys, keysOf } from './redis-keys.ts';
import { ANSWER_MS, createLives, type Life, type Lives, type RedisOptions } from './redis-life.ts';
import {
  bufferOf,
  bytesFrom,
  entriesFrom,
  listFrom,
  pairsFrom,
  textFrom,
  timeFrom,
} from './redis-replies.ts';

/** Entries of a member's stream, of its registers and of a door's marks that one request asks for. */
const MESSAGES_A_PIECE = 64;
const ROWS_A_PIECE = 128;
/** About so many messages of a member are kept for those that were away. */
const STREAM_MAX = 10_000;
/** A one-time door that waits longer for its mark stays shut. */
const CLAIM_MS = 1_000;
/** Members that one engine's group can name. */
const MEMBERS_MAX = 1_024;

/**
 * The bus over Redis or Valkey. What the engine sends is other members' word at best, so every answer is taken apart by
 * its shape (redis-replies.ts) and what its bytes mean is left to who asked.
 */
export function createRedisBus(options: RedisOptions): Bus {
  const { group, login, surroundings, guard } = options;
  const keys = keysOf(group);
  const me = login.name;
  let lives: Lives | undefined;
  /** What this member said of itself last: said again where a true write is wanted that changes nothing. */
  let presence: string | undefined;

  /** Answers once: with what the engine said, or that nobody knows. */
  function request<T>(done: Done<T>, work: (life: Life) => Promise<T>, limit: number = ANSWER_MS): void {
    let isAnswered = false;
    const answer: Done<T> = (given) => {
      if (isAnswered) return;
      isAnswered = true;
      cancel();
      guard(() => done(given));
    };
    const made = lives?.current();
    const cancel = surroundings.after(made === undefined ? 0 : limit, () =>
      answer(
        made === undefined
          ? { ok: false, reason: 'not connected', unsure: false }
          : { ok: false, reason: `no answer for ${limit / 1000} s`, unsure: true },
      ),
    );
    if (made === undefined) return;
    const refused = (error: unknown): void => {
      answer({ ok: false, reason: sentenceOf(error), unsure: !isRefusal(error) });
      // Another has been promoted: it is found anew.
      if (isRefusal(error) && sentenceOf(error).startsWith('READONLY') && lives?.current() === made)
        made.main.close('the engine takes no writes any more');
    };
    guard(() => work(made).then((value) => answer({ ok: true, value }), refused));
  }

  return {
    listen(to) {
      lives ??= createLives(options, to);
      lives.begin();
    },
    tell(telling, done) {
      request(done, async ({ main }) => {
        const answers = await main.transact(commandsOf(keys, me, telling));
        return textFrom(answers[answers.length - 2]);
      });
    },
    ring(message) {
      // Nobody waits for it: what comes of it is seen by the watch, or by nobody.
      lives
        ?.current()
        ?.main.send(['PUBLISH', keys.channel(me), bufferOf(message)])
        .catch(() => undefined);
    },
    claim(wanted, done) {
      const own = { key: keys.presence(me), text: presence };
      request(done, (life) => claimMark(life, keys.mark(wanted.mark), wanted, own), CLAIM_MS);
    },
    after(member, id, done) {
      request(done, async ({ main }) => {
        // The entry itself comes first where it is still there; without it nobody knows what came between.
        const count = `${MESSAGES_A_PIECE + 1}`;
        const [first, ...entries] = entriesFrom(
          await main.send(['XRANGE', keys.stream(member), id, '+', 'COUNT', count], 'bytes'),
        );
        if (first?.id !== id) return null;
        return { entries, next: entries.length < MESSAGES_A_PIECE ? null : (entries.at(-1)?.id ?? null) };
      });
    },
    newest(member, done) {
      request(done, async ({ main }) => {
        const range = ['XREVRANGE', keys.stream(member), '+', '-', 'COUNT', '1'];
        return entriesFrom(await main.send(range, 'bytes'))[0]?.id ?? '0-0';
      });
    },
    scan(member, table, cursor, done) {
      request(done, async ({ main }) => {
        const { next, pairs } = await piece(main, keys.registers(member, table), cursor);
        return { next, entries: pairs.map(([field, value]) => ({ table, field, value })) };
      });
    },
    marks(door, cursor, done) {
      request(done, async ({ main }) => {
        const { next, pairs } = await piece(main, keys.mark({ of: 'used', name: door }), cursor);
        return { next, entries: pairs.map(([field, value]) => ({ field, value: textFrom(value) })) };
      });
    },
    present(text, done) {
      presence = text;
      request(done, async ({ main }) => {
        const found = await main.send(['SMEMBERS', keys.members]);
        const members = [...new Set([me, ...namesFrom(found)])].slice(0, MEMBERS_MAX);
        // Carried out in their order: of its own it reads what stood there before.
        const [texts] = await Promise.all([
          main.send(['MGET', ...members.map(keys.presence)]).then(listFrom),
          main.send(['SET', keys.presence(me), text]),
        ]);
        return members.map((member, index) => {
          const said = texts[index];
          return { member, text: typeof said === 'string' ? said : null };
        });
      });
    },
    time(done) {
      request(done, async ({ main }) => timeFrom(await main.send(['TIME'])));
    },
    close: () => lives?.close(),
  };

  function namesFrom(reply: Reply): readonly string[] {
    const all = reply instanceof Set ? [...reply] : listFrom(reply);
    return all.flatMap((each) => keys.memberOf(keys.channel(String(each))) ?? []);
  }
}

async function piece(
  connection: Connection,
  key: string,
  cursor: string | null,
): Promise<{ readonly next: string | null; readonly pairs: readonly (readonly [Buffer, Buffer])[] }> {
  const scan = ['HSCAN', key, cursor ?? '0', 'COUNT', `${ROWS_A_PIECE}`];
  const [at, found] = listFrom(await connection.send(scan, 'bytes'));
  const next = bytesFrom(at).toString('latin1');
  if (!/^\d{1,20}$/.test(next)) throw new Error('the engine answered HSCAN with something else');
  return { next: next === '0' ? null : next, pairs: pairsFrom(found) };
}

/** What is told in one transaction. */
function commandsOf(keys: Keys, me: string, { rows, message }: Telling): (string | Buffer)[][] {
  const commands: (string | Buffer)[][] = [];
  for (const table of ['bans', 'grants'] as const) {
    const key = keys.registers(me, table);
    const ours = rows.filter((row) => row.table === table);
    const set = ours.flatMap(({ field, value }) =>
      value === null ? [] : [bufferOf(field), bufferOf(value)],
    );
    const gone = ours.flatMap(({ field, value }) => (value === null ? [bufferOf(field)] : []));
    if (set.length > 0) commands.push(['HSET', key, ...set]);
    if (gone.length > 0) commands.push(['HDEL', key, ...gone]);
  }
  const bytes = bufferOf(message);
  commands.push(['XADD', keys.stream(me), 'MAXLEN', '~', `${STREAM_MAX}`, '*', 'e', bytes]);
  commands.push(['PUBLISH', keys.channel(me), bytes]);
  return commands;
}
