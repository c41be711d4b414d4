/*
 * What the first packets meet that a machine answers.
 *
 *   prober listen PORT...           accepts and hangs up, over both families
 *   prober ask MS SOURCE ADDRESS PORT...
 *     every MS milliseconds asks each port to let it in, and writes for each try
 *     "SECONDS ADDRESS PORT open|refused|unreachable|nothing": when it asked, and what came within 250 ms
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_MAX = 512, ANSWERED_WITHIN_MS = 250, BACKLOG = 128 };

struct try {
	long began;
	int port;
};

static struct pollfd polled[TRIES_MAX];
static struct try tries[TRIES_MAX];
static int waiting;

/* Milliseconds since the boot, as in /proc/uptime and what systemd calls monotonic. */
static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int listen_at(char **ports)
{
	int count = 0;
	for (; *ports != NULL && count < TRIES_MAX; ports++, count++) {
		struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(*ports))};
		int one = 1, socket_of = socket(AF_INET6, SOCK_STREAM, 0);
		setsockopt(socket_of, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		if (bind(socket_of, (struct sockaddr *)&any, sizeof any) != 0 || listen(socket_of, BACKLOG) != 0) {
			perror("prober: listen");
			return 1;
		}
		polled[count] = (struct pollfd){.fd = socket_of, .events = POLLIN};
	}
	for (;;) {
		poll(polled, count, -1);
		for (int i = 0; i < count; i++)
			if (polled[i].revents != 0) close(accept(polled[i].fd, NULL, NULL));
	}
}

static void say(const struct try *one, const char *address, int error)
{
	const char *what = error == 0 ? "open" : error == ECONNREFUSED ? "refused" : error == ETIMEDOUT ? "nothing" : "unreachable";
	printf("%ld.%03ld %s %d %s\n", one->began / 1000, one->began % 1000, address, one->port, what);
}

/* Fills in an address of either family and tells its size. */
static socklen_t endpoint(struct sockaddr_storage *to, const char *address, int port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	memset(to, 0, sizeof *to);
	if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof *four;
	}
	if (inet_pton(AF_INET6, address, &six->sin6_addr) != 1) exit(2);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof *six;
}

static void ask(const char *source, const char *address, int port)
{
	struct sockaddr_storage from, to;
	socklen_t from_size = endpoint(&from, source, 0), size = endpoint(&to, address, port);
	struct try one = {now(), port};
	int socket_of = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int got = bind(socket_of, (struct sockaddr *)&from, from_size);
	if (got == 0) got = connect(socket_of, (struct sockaddr *)&to, size);
	if (got == 0 || errno != EINPROGRESS || waiting == TRIES_MAX) {
		say(&one, address, got == 0 ? 0 : errno);
		close(socket_of);
		return;
	}
	tries[waiting] = one;
	polled[waiting++] = (struct pollfd){.fd = socket_of, .events = POLLOUT};
}

static void settle(const char *address)
{
	for (int i = 0; i < waiting; i++) {
		int error = ETIMEDOUT;
		socklen_t size = sizeof error;
		if (polled[i].revents != 0) getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
		else if (now() - tries[i].began < ANSWERED_WITHIN_MS) continue;
		say(&tries[i], address, error);
		close(polled[i].fd);
		waiting--;
		polled[i] = polled[waiting];
		tries[i] = tries[waiting];
		i--;
	}
	fflush(stdout);
}

int main(int count, char **words)
{
	if (count > 2 && strcmp(words[1], "listen") == 0) return listen_at(words + 2);
	if (count < 6 || strcmp(words[1], "ask") != 0) return 2;
	long every = atol(words[2]), next = now();
	for (;;) {
		long left = next - now();
		if (left > 0) {
			poll(polled, waiting, left);
		} else {
			for (int i = 5; i < count; i++) ask(words[3], words[4], atoi(words[i]));
			/* Behind time it does not catch up: no more than one try of a port at once. */
			next = now() + every;
			poll(polled, waiting, 0);
		}
		settle(words[4]);
	}
}
