/*
 * Does to another process's netfilter socket what a kernel or a machine in trouble would: test/kernel/native-*
 * compiles it on demand.
 *
 *   tamper PID copyrange NUMBER BYTES   lets the kernel send more of each packet than the process has room for
 *   tamper PID unbind NUMBER            takes queue NUMBER away, and asks for a verdict on it
 *   tamper PID enobufs                  switches the reports of a full buffer back on
 *   tamper PID forge PORT               sends a packet's message, a sound one, from a socket of our own
 *   tamper PID cloexec                  prints 1 where the socket is close-on-exec
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../src/nfnl.h"
#include "message.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The process's first netfilter socket, as a descriptor of ours; `number` is its own. */
static int borrow(int pid, int *number)
{
	char path[64];
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		die("pidfd_open");
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	DIR *folder = opendir(path);
	if (folder == NULL)
		die(path);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		int protocol = -1;
		int domain = -1;
		socklen_t length = sizeof protocol;
		if (entry->d_name[0] == '.')
			continue;
		*number = atoi(entry->d_name);
		int fd = (int)syscall(SYS_pidfd_getfd, process, *number, 0);
		if (fd < 0)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK &&
		    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
		    protocol == NETLINK_NETFILTER) {
			(void)closedir(folder);
			return fd;
		}
		(void)close(fd);
	}
	fprintf(stderr, "process %d has no netfilter socket\n", pid);
	exit(1);
}

static void tell(int fd, const struct nfnl_request *request)
{
	if (send(fd, request->bytes, request->length, 0) < 0)
		die("send");
}

static void set_copy_range(int fd, uint16_t queue, uint32_t bytes)
{
	struct nfnl_request request;
	struct nfqnl_msg_config_params params = { .copy_range = htonl(bytes), .copy_mode = NFQNL_COPY_PACKET };
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, 0, 0, queue);
	nfnl_put(&request, NFQA_CFG_PARAMS, &params, sizeof params);
	tell(fd, &request);
}

static void unbind(int fd, uint16_t queue)
{
	struct nfnl_request request;
	struct nfqnl_msg_config_cmd command = { .command = NFQNL_CFG_CMD_UNBIND };
	struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_DROP), .id = htonl(1) };
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, 0, 0, queue);
	nfnl_put(&request, NFQA_CFG_CMD, &command, sizeof command);
	tell(fd, &request);
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_VERDICT_BATCH, 0, 0, queue);
	nfnl_put(&request, NFQA_VERDICT_HDR, &verdict, sizeof verdict);
	tell(fd, &request);
}

static void forge(uint32_t port)
{
	struct message m = { 0 };
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	queued(&m, 1, 40);
	if (sendto(fd, m.bytes, m.length, 0, (struct sockaddr *)&to, sizeof to) < 0)
		die("sendto");
}

/* The flag belongs to the other process's descriptor, not to our copy. */
static void print_cloexec(int pid, int number)
{
	char line[128];
	unsigned flags = 0;
	snprintf(line, sizeof line, "/proc/%d/fdinfo/%d", pid, number);
	FILE *file = fopen(line, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	printf("%d\n", (flags & O_CLOEXEC) != 0);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int pid = atoi(argv[1]);
	int number = 0;
	int fd = borrow(pid, &number);
	int off = 0;
	uint16_t queue = (uint16_t)(argc > 3 ? atoi(argv[3]) : 0);
	if (strcmp(argv[2], "copyrange") == 0 && argc == 5)
		set_copy_range(fd, queue, (uint32_t)atoi(argv[4]));
	else if (strcmp(argv[2], "unbind") == 0 && argc == 4)
		unbind(fd, queue);
	else if (strcmp(argv[2], "forge") == 0 && argc == 4)
		forge((uint32_t)strtoul(argv[3], NULL, 10));
	else if (strcmp(argv[2], "cloexec") == 0)
		print_cloexec(pid, number);
	else if (strcmp(argv[2], "enobufs") == 0) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &off, sizeof off) != 0)
			die("setsockopt");
	} else
		return 2;
	return 0;
}
