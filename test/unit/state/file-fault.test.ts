import { describe, expect, it } from 'vitest';
import { stateFault } from '../../../src/state/file-fault.ts';

const failed = (code: string, text: string): Error => Object.assign(new Error(text), { code });

describe('why the state is kept in memory alone', () => {
  it.each([
    ['SQLITE_FULL', 'database or disk is full', /^no space for \/s\.db: free some; /],
    ['EROFS', 'read-only', /^\/s\.db can't be written \(EROFS\): give the daemon's user write access/],
    ['SQLITE_IOERR', 'disk I/O error', /^\/s\.db can't be written \(SQLITE_IOERR\): check its disk; /],
  ])('%s names what to do', (code, text, words) => {
    expect(stateFault('/s.db', failed(code, text))).toMatch(words);
  });

  it('blames no disk where the native part is of another Node.js', () => {
    const text = "The module '/usr/lib/x.node'\nwas compiled against a different Node.js version";
    expect(stateFault('/s.db', failed('ERR_DLOPEN_FAILED', text))).toBe(
      `the database's native part does not load (The module '/usr/lib/x.node'): install nfknock anew, or run "npm rebuild better-sqlite3" with this Node.js (${process.version}); until then grants and bans are kept in memory alone`,
    );
  });
});
