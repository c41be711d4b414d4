import { setTimeout } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import { type Connection, connectControl } from '../../control/client.ts';
import { readLine } from '../../log/entry.ts';
import { renderLine } from '../../log/sentence.ts';
import { messageOf } from '../../text/error.ts';
import { printable } from '../../text/plain.ts';
import { controlPath, fail } from '../ask-daemon.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';
import { type Ink, type Scene, screenLines } from '../output/screen.ts';
import { openTerminal, type Terminal } from '../output/terminal.ts';

/** How often the screen is drawn anew, in milliseconds. */
const REFRESH = 1000;
/** How long an answer may take before the screen says so, in milliseconds. */
const ANSWER_TIMEOUT = 5000;
/** Rows that are asked for each time: more than any terminal shows. */
const ROWS_ASKED = 100;
/** Events that are kept for the screen. */
const EVENTS_KEPT = 200;

/** The live screen. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  const { stdin, stdout } = process;
  try {
    if (!stdin.isTTY || !stdout.isTTY) {
      throw usage(
        'watch needs a terminal; for programs there are `nfknock status --json` and `nfknock tail -f --json`',
      );
    }
    const path = await controlPath(options.config);
    const feed = await openFeed(path);
    const terminal = openTerminal(stdin, stdout, () => draw(terminal, feed));
    try {
      await show(terminal, feed);
    } finally {
      terminal.close();
      feed.close();
    }
    return EXIT.done;
  } catch (error) {
    return fail(error);
  }
}

async function show(terminal: Terminal, feed: Feed): Promise<void> {
  const over = new AbortController();
  const quit = terminal.quit.then(() => over.abort());
  while (!over.signal.aborted) {
    await Promise.race([quit, feed.refresh()]);
    if (over.signal.aborted) return;
    draw(terminal, feed);
    await setTimeout(REFRESH, undefined, { signal: over.signal }).catch(() => {
      // The user has quit.
    });
  }
}

function draw(terminal: Terminal, feed: Feed): void {
  const scene = feed.scene();
  if (scene !== null) terminal.draw(screenLines(scene, terminal, ink()));
}

const EMPHASIS = { title: '7', heading: '1', bad: '31' } as const;

function ink(): Ink {
  const { NO_COLOR: refused = '' } = process.env;
  return (emphasis, line) => (refused === '' ? `\u001b[${EMPHASIS[emphasis]}m${line}\u001b[0m` : line);
}

/** What the daemon says, kept for drawing. A daemon that goes away is looked for until it is back. */
interface Feed {
  refresh(): Promise<void>;
  scene(): Scene | null;
  close(): void;
}

/** Rejects where no daemon answers at the start. */
async function openFeed(path: string): Promise<Feed> {
  let connection: Connection | null = await connect();
  let known: Pick<Scene, 'status' | 'grants' | 'bans' | 'sources'> | null = null;
  let trouble: string | null = null;
  let events: string[] = [];
  let lost = 0;

  function connect(): Promise<Connection> {
    return connectControl(path, ANSWER_TIMEOUT).then(async (made) => {
      await made.watch({
        onEvent(event) {
          events.push(sentenceOf(event));
          if (events.length > EVENTS_KEPT * 2) events = events.slice(-EVENTS_KEPT);
        },
        onLost(count) {
          lost += count;
        },
      });
      return made;
    });
  }

  async function ask(from: Connection): Promise<void> {
    const limit = ROWS_ASKED;
    const [status, grants, bans, sources] = await Promise.all([
      from.ask({ command: 'status' }, ANSWER_TIMEOUT),
      from.ask({ command: 'grants', limit }, ANSWER_TIMEOUT),
      from.ask({ command: 'bans', limit }, ANSWER_TIMEOUT),
      from.ask({ command: 'sources', limit }, ANSWER_TIMEOUT),
    ]);
    known = { status, grants, bans, sources };
    trouble = null;
  }

  return {
    async refresh() {
      try {
        connection ??= await connect();
        await ask(connection);
      } catch (error) {
        connection?.close();
        connection = null;
        trouble = messageOf(error);
      }
    },
    scene: () => (known === null ? null : { ...known, events, lost, trouble, now: systemClock.wall() }),
    close: () => connection?.close(),
  };
}

/** The event as `tail` words it, without the date: the screen is narrow, and what it shows is of today. */
function sentenceOf(event: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(event);
  const line = readLine(text);
  if (line === undefined) return printable(text);
  return renderLine(line, 'plain').replace(/^\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d)\.\d+/, '$1');
}
