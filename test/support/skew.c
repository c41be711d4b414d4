/*
 * The wall clock of one process, set forward or back while it runs, and the clock that counts a machine's sleep: to be
 * preloaded. SKEW names a file of three times eight bytes, which may be written at any time: the milliseconds to add to
 * CLOCK_REALTIME and to CLOCK_BOOTTIME, and what adjtimex says of the clock (1: synchronised, 2: not, 0: the truth). Every other clock is left alone, and so is the kernel's; /proc/uptime is hidden,
 * since it would tell the truth.
 *
 *   cc -O2 -shared -fPIC -o skew.so skew.c
 *   SKEW=file LD_PRELOAD=./skew.so node …
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *skew;

__attribute__((constructor)) static void open_skew(void)
{
	const char *path = getenv("SKEW");
	int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	void *there = mmap(NULL, 3 * sizeof *skew, PROT_READ, MAP_SHARED, file, 0);
	if (there != MAP_FAILED)
		skew = there;
	close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	long result = syscall(SYS_clock_gettime, clock, now);
	int wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
	if (result == 0 && skew != NULL && (wall || clock == CLOCK_BOOTTIME)) {
		int64_t by = skew[wall ? 0 : 1];
		int64_t ns = now->tv_nsec + by % 1000 * 1000000;
		now->tv_sec += by / 1000 + (ns < 0 ? -1 : ns >= 1000000000 ? 1 : 0);
		now->tv_nsec = (ns + 1000000000) % 1000000000;
	}
	return (int)result;
}

int adjtimex(struct timex *state)
{
	int result = (int)syscall(SYS_adjtimex, state);
	if (result < 0 || skew == NULL || skew[2] == 0)
		return result;
	state->status = skew[2] == 1 ? state->status & ~STA_UNSYNC : state->status | STA_UNSYNC;
	return skew[2] == 1 ? TIME_OK : TIME_ERROR;
}

static int open_other(const char *symbol, const char *path, int flags, va_list more)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, symbol);
	if (skew != NULL && strcmp(path, "/proc/uptime") == 0) {
		errno = ENOENT;
		return -1;
	}
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? real(path, flags, va_arg(more, int)) : real(path, flags);
}

int open(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int file = open_other("open", path, flags, more);
	va_end(more);
	return file;
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int file = open_other("open64", path, flags, more);
	va_end(more);
	return file;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec fine;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &fine) != 0)
		return -1;
	now->tv_sec = fine.tv_sec;
	now->tv_usec = fine.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (at != NULL)
		*at = now.tv_sec;
	return now.tv_sec;
}
