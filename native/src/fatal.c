#include "fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PARTS 4
#define PART_BYTES_MAX 4096
/* Enough for what the handler does; the stack of whoever failed may be what ran out. */
#define STACK_BYTES 32768

/* Set by the main thread before any signal; read by the handler alone. */
static char parts[PARTS][PART_BYTES_MAX + 1];
static size_t lengths[PARTS];
static unsigned char stack[STACK_BYTES] __attribute__((aligned(16)));

struct fatal_signal {
	int number;
	const char *name;
};

static const struct fatal_signal signals[] = {
	{ SIGABRT, "SIGABRT" }, { SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" }, { SIGILL, "SIGILL" }, { SIGFPE, "SIGFPE" },
};
#define SIGNALS (sizeof signals / sizeof signals[0])

static void put(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		/* A full disk, a pipe whose reader is behind: nobody is left to wait. */
		if (written <= 0)
			return;
		bytes += written;
		length -= (size_t)written;
	}
}

static char *digits(char *at, unsigned count, unsigned value)
{
	for (unsigned i = count; i > 0; i--) {
		at[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	return at + count;
}

/* ISO 8601 in UTC with milliseconds; gmtime is not for signal handlers. Days to a date as in "chrono-compatible date
 * algorithms": years begin in March, so that the leap day is the last. */
static size_t put_moment(char *at, const struct timespec *now)
{
	const char *start = at;
	unsigned long days = (unsigned long)now->tv_sec / 86400 + 719468;
	unsigned seconds = (unsigned)((unsigned long)now->tv_sec % 86400);
	unsigned long era = days / 146097;
	unsigned day_of_era = (unsigned)(days % 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned shifted = (5 * day_of_year + 2) / 153;
	unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
	unsigned year = year_of_era + (unsigned)era * 400 + (month <= 2);
	at = digits(at, 4, year);
	*at++ = '-';
	at = digits(at, 2, month);
	*at++ = '-';
	at = digits(at, 2, day_of_year - (153 * shifted + 2) / 5 + 1);
	*at++ = 'T';
	at = digits(at, 2, seconds / 3600);
	*at++ = ':';
	at = digits(at, 2, seconds / 60 % 60);
	*at++ = ':';
	at = digits(at, 2, seconds % 60);
	*at++ = '.';
	at = digits(at, 3, (unsigned)(now->tv_nsec / 1000000));
	*at++ = 'Z';
	return (size_t)(at - start);
}

/* Only what is safe in a signal handler. SA_RESETHAND: the signal that comes now ends the process. */
static void on_fatal(int number)
{
	char moment[32];
	const char *name = "a signal";
	struct timespec now = { 0 };
	int fd = STDOUT_FILENO;
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i].number == number)
			name = signals[i].name;
	if (lengths[0] > 0)
		fd = open(parts[0], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd >= 0) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		/* Another line may have been cut off half-way. */
		if (lengths[0] > 0)
			put(fd, "\n", 1);
		put(fd, parts[1], lengths[1]);
		put(fd, moment, put_moment(moment, &now));
		put(fd, parts[2], lengths[2]);
		put(fd, name, strlen(name));
		put(fd, parts[3], lengths[3]);
	}
	(void)raise(number);
}

static int install(void)
{
	struct sigaction action = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_ONSTACK | SA_NODEFER };
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
	(void)sigemptyset(&action.sa_mask);
	if (sigaltstack(&alternative, NULL) != 0)
		return errno;
	for (size_t i = 0; i < SIGNALS; i++)
		if (sigaction(signals[i].number, &action, NULL) != 0)
			return errno;
	return 0;
}

napi_value fatal_say_last_line(napi_env env, napi_callback_info info)
{
	napi_value arguments[PARTS];
	napi_value result;
	size_t count = PARTS;
	void *bytes[PARTS];
	size_t given[PARTS];
	bool sound = napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count == PARTS;
	for (int i = 0; sound && i < PARTS; i++)
		sound = napi_get_buffer_info(env, arguments[i], &bytes[i], &given[i]) == napi_ok &&
			given[i] <= PART_BYTES_MAX;
	if (!sound) {
		(void)napi_throw_type_error(env, NULL, "native sayLastLine: wrong arguments");
		return NULL;
	}
	for (int i = 0; i < PARTS; i++) {
		if (given[i] > 0)
			memcpy(parts[i], bytes[i], given[i]);
		parts[i][given[i]] = '\0';
		lengths[i] = given[i];
	}
	return napi_create_int32(env, install(), &result) == napi_ok ? result : NULL;
}
