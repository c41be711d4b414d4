/*
 * A packet generator for tests and benchmarks: many small IPv4 or IPv6 packets, bounded in number and time.
 *
 *   cc -O2 -o flood flood.c
 *   flood -d 192.0.2.1 -p 7000-7099 -n 100000 -r 100000 -s 198.51.100.0/24 -u
 *
 *   -d ADDRESS       destination; needed
 *   -p FIRST[-LAST]  destination ports, one after the other; default 7000
 *   -n COUNT         packets, at most 10,000,000; default 1000
 *   -r RATE          packets a second; default 0: as many as go
 *   -t SECONDS       ends after so long, at most 60; default 10
 *   -s ADDRESS/BITS  sources at random from this network; default: the destination's own address
 *   -u               UDP; default TCP
 *   -f FLAGS         TCP flags as in `FSRPAU`, `-` for none; default S
 *   -l BYTES         payload, at most 60,000; default 0
 *   -b BYTE          each byte of the payload, 0 to 255; default 0
 *   -e SEED          of the random numbers; default 1
 *
 * Prints {"sent":…,"failed":…,"seconds":…}. It forges addresses, so outside of a network namespace that
 * `ip netns add` made it sends to loopback alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 10000000u
#define SECONDS_MAX 60u
#define PAYLOAD_MAX 60000u
/* Packets handed to the kernel with one call. */
#define BURST 64
#define HEADERS_MAX 64
#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_COUNT 28000u

struct plan {
	int family;
	uint8_t destination[16];
	uint8_t source[16];
	unsigned source_bits;
	bool has_source;
	unsigned port_first, port_last;
	unsigned count, rate, seconds, payload, fill;
	bool udp;
	uint8_t flags;
	uint64_t random;
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s\n", what);
	exit(2);
}

static uint64_t next_random(struct plan *plan)
{
	/* xorshift64*: the same packets for the same seed, on every machine. */
	plan->random ^= plan->random >> 12;
	plan->random ^= plan->random << 25;
	plan->random ^= plan->random >> 27;
	return plan->random * 0x2545f4914f6cdd1du;
}

static unsigned number(const char *text, unsigned max, const char *what)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value > max)
		die(what);
	return (unsigned)value;
}

static int parse_address(const char *text, uint8_t *bytes)
{
	if (inet_pton(AF_INET, text, bytes) == 1)
		return AF_INET;
	if (inet_pton(AF_INET6, text, bytes) == 1)
		return AF_INET6;
	die("an address is neither IPv4 nor IPv6");
	return 0;
}

static void parse_source(struct plan *plan, char *text)
{
	char *slash = strchr(text, '/');
	if (slash != NULL)
		*slash = '\0';
	int family = parse_address(text, plan->source);
	unsigned bits = family == AF_INET ? 32 : 128;
	plan->source_bits = slash == NULL ? bits : number(slash + 1, bits, "-s: the prefix is too long");
	plan->has_source = true;
	if (plan->family != 0 && family != plan->family)
		die("-s and -d are of different families");
}

static void parse_ports(struct plan *plan, char *text)
{
	char *dash = strchr(text, '-');
	if (dash != NULL)
		*dash = '\0';
	plan->port_first = number(text, 65535, "-p: no port");
	plan->port_last = dash == NULL ? plan->port_first : number(dash + 1, 65535, "-p: no port");
	if (plan->port_last < plan->port_first)
		die("-p: the last port is below the first");
}

static uint8_t parse_flags(const char *text)
{
	static const char names[] = "FSRPAU";
	uint8_t flags = 0;
	if (strcmp(text, "-") == 0)
		return 0;
	for (; *text != '\0'; text++) {
		const char *at = strchr(names, *text);
		if (at == NULL)
			die("-f: flags are letters of FSRPAU");
		flags |= (uint8_t)(1u << (at - names));
	}
	return flags;
}

static struct plan parse(int argc, char **argv)
{
	struct plan plan = { .port_first = 7000, .port_last = 7000, .count = 1000, .seconds = 10, .flags = 2, .random = 1 };
	int option;
	while ((option = getopt(argc, argv, "d:p:n:r:t:s:uf:l:b:e:")) != -1) {
		switch (option) {
		case 'd': plan.family = parse_address(optarg, plan.destination); break;
		case 'p': parse_ports(&plan, optarg); break;
		case 'n': plan.count = number(optarg, COUNT_MAX, "-n: at most 10000000"); break;
		case 'r': plan.rate = number(optarg, COUNT_MAX, "-r: at most 10000000"); break;
		case 't': plan.seconds = number(optarg, SECONDS_MAX, "-t: at most 60"); break;
		case 's': parse_source(&plan, optarg); break;
		case 'u': plan.udp = true; break;
		case 'f': plan.flags = parse_flags(optarg); break;
		case 'l': plan.payload = number(optarg, PAYLOAD_MAX, "-l: at most 60000"); break;
		case 'b': plan.fill = number(optarg, 255, "-b: a byte, 0 to 255"); break;
		case 'e': plan.random = number(optarg, UINT32_MAX, "-e: a number") + 1ull; break;
		default: die("see the comment at the top of flood.c");
		}
	}
	if (plan.family == 0 || optind != argc)
		die("-d ADDRESS is needed, and nothing behind the options");
	if (!plan.has_source) {
		memcpy(plan.source, plan.destination, 16);
		plan.source_bits = plan.family == AF_INET ? 32 : 128;
	}
	return plan;
}

static bool is_loopback(const struct plan *plan)
{
	if (plan->family == AF_INET)
		return plan->destination[0] == 127;
	return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)plan->destination);
}

/* A namespace that `ip netns add` made; the machine's own is none, and what cannot be told counts as its own. */
static bool in_named_namespace(void)
{
	struct stat ours, named;
	bool found = false;
	DIR *folder = opendir("/run/netns");
	if (folder == NULL)
		return false;
	for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;)
		found = entry->d_name[0] != '.' && stat("/proc/self/ns/net", &ours) == 0 &&
			fstatat(dirfd(folder), entry->d_name, &named, 0) == 0 &&
			ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
	(void)closedir(folder);
	return found;
}

static uint32_t add_up(const uint8_t *bytes, size_t length, uint32_t sum)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (length % 2 == 1)
		sum += (uint32_t)bytes[length - 1] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void choose_source(struct plan *plan, uint8_t *source)
{
	unsigned bytes = plan->family == AF_INET ? 4 : 16;
	for (unsigned i = 0; i < bytes; i++) {
		unsigned fixed = plan->source_bits > i * 8 ? plan->source_bits - i * 8 : 0;
		uint8_t mask = fixed >= 8 ? 0xff : (uint8_t)(0xff00u >> fixed);
		source[i] = (uint8_t)((plan->source[i] & mask) | (next_random(plan) >> 56 & (uint8_t)~mask));
	}
}

/* Transport header at `at`, checksum included; answers with its length. */
static unsigned write_transport(struct plan *plan, uint8_t *at, const uint8_t *source, unsigned index)
{
	unsigned address = plan->family == AF_INET ? 4 : 16;
	unsigned header = plan->udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	unsigned length = header + plan->payload;
	uint8_t protocol = plan->udp ? IPPROTO_UDP : IPPROTO_TCP;
	uint16_t from = htons((uint16_t)(EPHEMERAL_FIRST + next_random(plan) % EPHEMERAL_COUNT));
	uint16_t to = htons((uint16_t)(plan->port_first + index % (plan->port_last - plan->port_first + 1)));
	uint32_t sum = add_up(plan->destination, address, add_up(source, address, protocol + length));
	memset(at, 0, header);
	if (plan->udp) {
		struct udphdr udp = { .source = from, .dest = to, .len = htons((uint16_t)length) };
		memcpy(at, &udp, sizeof udp);
		udp.check = fold(add_up(at, length, sum));
		memcpy(at, &udp, sizeof udp);
	} else {
		struct tcphdr tcp = { .source = from, .dest = to, .seq = (uint32_t)next_random(plan), .doff = 5,
				      .window = htons(64240) };
		tcp.th_flags = plan->flags;
		memcpy(at, &tcp, sizeof tcp);
		tcp.check = fold(add_up(at, length, sum));
		memcpy(at, &tcp, sizeof tcp);
	}
	return header;
}

/* A whole packet; answers with its length. */
static unsigned write_packet(struct plan *plan, uint8_t *at, unsigned index)
{
	uint8_t source[16];
	choose_source(plan, source);
	if (plan->family == AF_INET) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = plan->udp ? IPPROTO_UDP : IPPROTO_TCP };
		unsigned header = write_transport(plan, at + sizeof ip, source, index);
		unsigned length = (unsigned)sizeof ip + header + plan->payload;
		ip.tot_len = htons((uint16_t)length);
		ip.id = htons((uint16_t)index);
		memcpy(&ip.saddr, source, 4);
		memcpy(&ip.daddr, plan->destination, 4);
		memcpy(at, &ip, sizeof ip);
		return length;
	}
	struct ip6_hdr ip = { .ip6_flow = htonl(6u << 28) };
	unsigned header = write_transport(plan, at + sizeof ip, source, index);
	ip.ip6_plen = htons((uint16_t)(header + plan->payload));
	ip.ip6_nxt = plan->udp ? IPPROTO_UDP : IPPROTO_TCP;
	ip.ip6_hlim = 64;
	memcpy(&ip.ip6_src, source, 16);
	memcpy(&ip.ip6_dst, plan->destination, 16);
	memcpy(at, &ip, sizeof ip);
	return (unsigned)sizeof ip + header + plan->payload;
}

static double seconds_now(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits until `index` packets are due at the rate asked for; how many more may go now. */
static unsigned due(const struct plan *plan, double begin, unsigned index)
{
	if (plan->rate == 0)
		return BURST;
	for (;;) {
		double allowed = (seconds_now() - begin) * plan->rate + 1;
		double now = allowed - index;
		if (now >= 1)
			return now > BURST ? BURST : (unsigned)now;
		struct timespec wait = { .tv_nsec = 50000 };
		(void)nanosleep(&wait, NULL);
	}
}

int main(int argc, char **argv)
{
	struct plan plan = parse(argc, argv);
	if (!in_named_namespace() && !is_loopback(&plan))
		die("this is the machine's own network: only loopback is allowed; use `ip netns exec`");
	size_t slot = HEADERS_MAX + plan.payload;
	uint8_t *memory = calloc(BURST, slot);
	struct mmsghdr headers[BURST];
	struct iovec parts[BURST];
	struct sockaddr_storage to;
	memset(&to, 0, sizeof to);
	memset(headers, 0, sizeof headers);
	to.ss_family = (sa_family_t)plan.family;
	if (plan.family == AF_INET)
		memcpy(&((struct sockaddr_in *)(void *)&to)->sin_addr, plan.destination, 4);
	else
		memcpy(&((struct sockaddr_in6 *)(void *)&to)->sin6_addr, plan.destination, 16);
	/* IPPROTO_RAW: the IP header is ours. */
	int fd = socket(plan.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	int bytes = 4 << 20;
	if (memory == NULL || fd < 0)
		die("a raw socket could not be opened: run as root");
	memset(memory, (int)plan.fill, BURST * slot);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
	double begin = seconds_now();
	unsigned index = 0, sent = 0, failed = 0;
	while (index < plan.count && seconds_now() - begin < plan.seconds) {
		unsigned burst = due(&plan, begin, index);
		burst = burst < plan.count - index ? burst : plan.count - index;
		for (unsigned i = 0; i < burst; i++) {
			parts[i].iov_base = memory + i * slot;
			parts[i].iov_len = write_packet(&plan, parts[i].iov_base, index + i);
			headers[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = plan.family == AF_INET ?
				sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), .msg_iov = &parts[i], .msg_iovlen = 1 };
		}
		for (unsigned done = 0; done < burst;) {
			int got = sendmmsg(fd, headers + done, burst - done, 0);
			/* A packet that netfilter drops on its way out counts as failed. */
			failed += got <= 0;
			sent += got > 0 ? (unsigned)got : 0;
			done += got > 0 ? (unsigned)got : 1;
		}
		index += burst;
	}
	printf("{\"sent\":%u,\"failed\":%u,\"seconds\":%.3f}\n", sent, failed, seconds_now() - begin);
	return 0;
}
