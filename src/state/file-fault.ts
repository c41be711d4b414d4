import { messageOf } from '../text/error.ts';
import { faultOf } from './file.ts';

/** What went wrong with the file and what to do, in one line. */
export function mendOf(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = messageOf(error);
  const memory = 'until then grants and bans are kept in memory alone';
  if (/FULL|ENOSPC|EDQUOT/.test(code)) return `no space for ${path}: free some; ${memory}`;
  if (/READONLY|EROFS|EACCES|EPERM|CANTOPEN|SQLITE_PERM|SQLITE_AUTH/.test(code)) {
    return `${path} can't be written (${code}): give the daemon's user write access to it and its folder; ${memory}`;
  }
  if (faultOf(error) === 'locked') return `another process holds ${path}: end it; ${memory}`;
  return `${path} can't be written (${code || text}): check its disk; ${memory}`;
}
