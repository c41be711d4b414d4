/*
 * Knocks as an honest client does, and says how long the door took to open, seen from outside.
 *
 *   knocker -d 192.0.2.1 -s 203.0.113.0 -n 100 -w 2000 -g 10 -k 0
 *
 *   -d ADDRESS  the server; its door is 22/tcp, behind 7000/tcp 8000/udp 9000/tcp, and nothing listens there
 *   -s ADDRESS  the first source's network; the sources are .1 … .250 of it, one after the other
 *   -n COUNT    knocks, at most 10,000
 *   -w MS       how long a door is waited for
 *   -g MS       pause after each
 *   -k MS       between two knocks; 0: as fast as they go
 *
 * One number a line: microseconds from before the last knock to the first answer of port 22, or -1 for none. The
 * answer is a reset, since nothing listens: the firewall has let the SYN in.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A new SYN every so many microseconds, until one is answered: the resolution of what is measured. */
#define PROBE_US 100
/* Probes that are waited for at a time; an older one was dropped. */
#define PROBES 64
#define SOURCES 250

static double now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void wait_ms(long ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	(void)nanosleep(&wait, NULL);
}

/* A socket that has sent its first packet to that port. */
static int send_first(const char *from, struct sockaddr_in *to, int type, int port)
{
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in own = { .sin_family = AF_INET };
	(void)inet_pton(AF_INET, from, &own.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&own, sizeof own) != 0) {
		perror("knocker");
		exit(1);
	}
	to->sin_port = htons((uint16_t)port);
	if (type == SOCK_DGRAM)
		(void)sendto(fd, "k", 1, 0, (struct sockaddr *)(void *)to, sizeof *to);
	else
		(void)connect(fd, (struct sockaddr *)(void *)to, sizeof *to);
	return fd;
}

static double knock(const char *from, struct sockaddr_in *to, long apart, long patience)
{
	int knocks[3];
	struct pollfd probes[PROBES];
	unsigned sent = 0;
	knocks[0] = send_first(from, to, SOCK_STREAM, 7000);
	if (apart > 0)
		wait_ms(apart);
	knocks[1] = send_first(from, to, SOCK_DGRAM, 8000);
	if (apart > 0)
		wait_ms(apart);
	double begin = now_us(), took = -1;
	knocks[2] = send_first(from, to, SOCK_STREAM, 9000);
	while (took < 0 && now_us() - begin < (double)patience * 1000) {
		struct pollfd *probe = &probes[sent % PROBES];
		if (sent >= PROBES)
			(void)close(probe->fd);
		*probe = (struct pollfd){ .fd = send_first(from, to, SOCK_STREAM, 22), .events = POLLOUT };
		sent++;
		double next = now_us() + PROBE_US;
		unsigned open = sent < PROBES ? sent : PROBES;
		do {
			struct timespec wait = { .tv_nsec = 20000 };
			if (ppoll(probes, open, &wait, NULL) > 0)
				took = now_us() - begin;
		} while (took < 0 && now_us() < next);
	}
	for (unsigned i = 0; i < (sent < PROBES ? sent : PROBES); i++)
		(void)close(probes[i].fd);
	for (int i = 0; i < 3; i++)
		(void)close(knocks[i]);
	return took;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned char network[4] = { 203, 0, 113, 0 };
	long count = 1, patience = 1000, pause = 10, apart = 0;
	int option;
	while ((option = getopt(argc, argv, "d:s:n:w:g:k:")) != -1) {
		switch (option) {
		case 'd': (void)inet_pton(AF_INET, optarg, &to.sin_addr); break;
		case 's': (void)inet_pton(AF_INET, optarg, network); break;
		case 'n': count = atol(optarg); break;
		case 'w': patience = atol(optarg); break;
		case 'g': pause = atol(optarg); break;
		case 'k': apart = atol(optarg); break;
		default: return 2;
		}
	}
	for (long i = 0; i < count && i < 10000; i++) {
		char from[INET_ADDRSTRLEN];
		(void)snprintf(from, sizeof from, "%u.%u.%u.%ld", network[0], network[1], network[2], 1 + i % SOURCES);
		printf("%.0f\n", knock(from, &to, apart, patience));
		(void)fflush(stdout);
		wait_ms(pause);
	}
	return 0;
}
