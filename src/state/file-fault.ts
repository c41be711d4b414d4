import { messageOf } from '../text/error.ts';
import { faultOf } from './file.ts';

/** What went wrong with the file and what to do, in one line. */
export function stateFault(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = messageOf(error);
  const memory = 'until then grants and bans are kept in memory alone';
  if (/FULL|ENOSPC|EDQUOT/.test(code)) return `no space for ${path}: free some; ${memory}`;
  if (/READONLY|EROFS|EACCES|EPERM|CANTOPEN|SQLITE_PERM|SQLITE_AUTH/.test(code)) {
    return `${path} can't be written (${code}): give the daemon's user write access to it and its folder; ${memory}`;
  }
  // It is another Node.js's, or a library that it needs is missing: no disk has anything to do with it.
  if (code === 'ERR_DLOPEN_FAILED')
    return `the database's native part does not load (${text.split('\n', 1)[0]}): install nfknock anew, or run "npm rebuild better-sqlite3" with this Node.js (${process.version}); ${memory}`;
  if (faultOf(error) === 'locked') return `another process holds ${path}: end it; ${memory}`;
  return `${path} can't be written (${code || text}): check its disk; ${memory}`;
}
