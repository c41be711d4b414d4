/*
 * What the daemon is measured against: C programs that read the queue, drop every packet and do nothing else.
 *
 *   cc -O2 -o readers readers.c -lnetfilter_queue -lnfnetlink
 *   readers textbook QUEUE   libnetfilter_queue as its own example has it: one recv, one verdict a packet
 *   readers best QUEUE       the kernel's headers alone: recvmmsg of 128, one verdict for all of them
 *   readers spawn QUEUE      as `best`, and runs `iptables -I` for whoever sends a packet to 9000/tcp
 *
 * Both have a queue of 65,535 packets and a buffer of 64 MB, as the daemon has. It ends with SIGTERM.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUE_LENGTH 65535
#define BUFFER_BYTES (64 << 20)
#define COPY_RANGE 256
#define DATAGRAMS 128
#define SLOT 1024

extern char **environ;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void make_roomy(int fd)
{
	int bytes = BUFFER_BYTES, yes = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes);
}

static int on_packet(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data, void *unused)
{
	(void)message;
	(void)unused;
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
	return header == NULL ? 0 : nfq_set_verdict(queue, ntohl(header->packet_id), NF_DROP, 0, NULL);
}

static void textbook(uint16_t number)
{
	static char buffer[65536] __attribute__((aligned));
	struct nfq_handle *handle = nfq_open();
	if (handle == NULL)
		die("nfq_open");
	struct nfq_q_handle *queue = nfq_create_queue(handle, number, on_packet, NULL);
	if (queue == NULL)
		die("nfq_create_queue");
	if (nfq_set_mode(queue, NFQNL_COPY_PACKET, COPY_RANGE) < 0)
		die("nfq_set_mode");
	(void)nfq_set_queue_maxlen(queue, QUEUE_LENGTH);
	int fd = nfq_fd(handle);
	make_roomy(fd);
	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof buffer, 0);
		if (got >= 0)
			(void)nfq_handle_packet(handle, buffer, (int)got);
		else if (errno != ENOBUFS && errno != EINTR)
			die("recv");
	}
}

struct request {
	struct nlmsghdr header;
	struct nfgenmsg body;
	struct nlattr attribute;
	uint8_t value[16];
};

static void tell(int fd, uint16_t number, uint16_t type, uint16_t attribute, const void *value, size_t length)
{
	struct request request;
	memset(&request, 0, sizeof request);
	request.header.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof request.body) + NLA_HDRLEN + NLA_ALIGN(length));
	request.header.nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.body.version = NFNETLINK_V0;
	request.body.res_id = htons(number);
	request.attribute.nla_len = (uint16_t)(NLA_HDRLEN + length);
	request.attribute.nla_type = attribute;
	memcpy(request.value, value, length);
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0 && errno != ENOBUFS && errno != EAGAIN)
		die("send");
}

static int open_queue(uint16_t number)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&own, sizeof own) != 0)
		die("netlink");
	make_roomy(fd);
	struct nfqnl_msg_config_cmd bind_it = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = { .copy_range = htonl(COPY_RANGE), .copy_mode = NFQNL_COPY_PACKET };
	uint32_t length = htonl(QUEUE_LENGTH);
	tell(fd, number, NFQNL_MSG_CONFIG, NFQA_CFG_CMD, &bind_it, sizeof bind_it);
	tell(fd, number, NFQNL_MSG_CONFIG, NFQA_CFG_PARAMS, &params, sizeof params);
	tell(fd, number, NFQNL_MSG_CONFIG, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
	return fd;
}

/* What iptables is to be told of a packet to 9000/tcp over IPv4, by a process of its own. */
static void let_in(const uint8_t *ip, size_t length)
{
	char source[INET_ADDRSTRLEN];
	pid_t pid;
	if (length < 24 || ip[0] != 0x45 || ip[9] != IPPROTO_TCP || (ip[22] << 8 | ip[23]) != 9000)
		return;
	(void)inet_ntop(AF_INET, ip + 12, source, sizeof source);
	char *argv[] = { "iptables", "-w", "-I", "INPUT", "-s", source, "-p", "tcp", "--dport", "22", "-j", "ACCEPT", NULL };
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		(void)waitpid(pid, NULL, 0);
}

/*
 * The last packet's id of a datagram, 0 for none; `spawn` looks at the payload too. The length is signed, since
 * NLMSG_NEXT takes the padding behind the last message off it too.
 */
static uint32_t read_datagram(const uint8_t *bytes, int length, bool spawn)
{
	uint32_t id = 0;
	const struct nlmsghdr *header = (const void *)bytes;
	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
			continue;
		const uint8_t *at = (const uint8_t *)header + NLMSG_LENGTH(sizeof(struct nfgenmsg));
		const uint8_t *end = (const uint8_t *)header + header->nlmsg_len;
		while (at + NLA_HDRLEN <= end) {
			const struct nlattr *attribute = (const void *)at;
			if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end)
				break;
			if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR)
				id = ntohl(((const struct nfqnl_msg_packet_hdr *)(const void *)(at + NLA_HDRLEN))->packet_id);
			if (spawn && (attribute->nla_type & NLA_TYPE_MASK) == NFQA_PAYLOAD)
				let_in(at + NLA_HDRLEN, attribute->nla_len - (size_t)NLA_HDRLEN);
			at += NLA_ALIGN(attribute->nla_len);
		}
	}
	return id;
}

static void best(uint16_t number, bool spawn)
{
	static uint8_t memory[DATAGRAMS][SLOT] __attribute__((aligned(64)));
	struct mmsghdr headers[DATAGRAMS];
	struct iovec parts[DATAGRAMS];
	int fd = open_queue(number);
	memset(headers, 0, sizeof headers);
	for (int i = 0; i < DATAGRAMS; i++) {
		parts[i] = (struct iovec){ .iov_base = memory[i], .iov_len = SLOT };
		headers[i].msg_hdr.msg_iov = &parts[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		int got = recvmmsg(fd, headers, DATAGRAMS, MSG_WAITFORONE, NULL);
		uint32_t last = 0;
		if (got < 0 && errno != ENOBUFS && errno != EINTR)
			die("recvmmsg");
		for (int i = 0; i < got; i++) {
			uint32_t id = read_datagram(memory[i], (int)headers[i].msg_len, spawn);
			last = id == 0 ? last : id;
		}
		struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_DROP), .id = htonl(last) };
		if (last != 0)
			tell(fd, number, NFQNL_MSG_VERDICT_BATCH, NFQA_VERDICT_HDR, &verdict, sizeof verdict);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uint16_t number = (uint16_t)atoi(argv[2]);
	if (strcmp(argv[1], "textbook") == 0)
		textbook(number);
	best(number, strcmp(argv[1], "spawn") == 0);
	return 0;
}
