#include "socket.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* An acknowledgement carries the request back: 20 bytes and ours. Packets that come before are cut. */
#define ANSWER_BYTES 1024
/* The kernel acknowledges before send returns; the wait is for a kernel that does not. */
#define ANSWER_WAIT_MS 1000
/* Datagrams read in search of one acknowledgement before giving up. */
#define ANSWER_DATAGRAMS_MAX 100000
/* No subsystem has so many messages; asking for one is refused with EINVAL once the right to ask is there. */
#define NO_SUCH_MESSAGE 0xff

static bool fail(struct failure *failure, const char *operation, int error)
{
	bool missing = error == EPROTONOSUPPORT || error == EAFNOSUPPORT;
	failure->code = missing ? "NO_KERNEL_SUPPORT" : "SOCKET_FAILED";
	if (error == EPERM || error == EACCES)
		failure->code = "NOT_PERMITTED";
	failure->operation = operation;
	failure->error = error;
	failure->holder = 0;
	return false;
}

static void set_options(int fd, uint32_t receive_buffer)
{
	int on = 1;
	int bytes = receive_buffer > INT32_MAX / 2 ? INT32_MAX / 2 : (int)receive_buffer;
	/* The FORCE form passes net.core.rmem_max, which holds a quarter of a queue by default. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	/* A full buffer loses the same packets with or without the report; the report only costs a wake. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
}

void socket_stamp(const struct netfilter_socket *self)
{
	int on = 1;
	(void)setsockopt(self->fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
}

bool socket_open(struct netfilter_socket *self, uint32_t receive_buffer, struct failure *failure)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof address;
	self->port = 0;
	self->sequence = 0;
	self->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	if (self->fd < 0)
		return fail(failure, "socket", errno);
	set_options(self->fd, receive_buffer);
	if (bind(self->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
	    getsockname(self->fd, (struct sockaddr *)&address, &length) != 0) {
		fail(failure, "bind", errno);
		socket_close(self);
		return false;
	}
	self->port = address.nl_pid;
	return true;
}

void socket_close(struct netfilter_socket *self)
{
	if (self->fd >= 0)
		(void)close(self->fd);
	self->fd = -1;
}

int socket_tell(struct netfilter_socket *self, const struct nfnl_request *request)
{
	ssize_t sent;
	/* A netlink socket that is connected to nobody sends to the kernel. */
	do
		sent = send(self->fd, request->bytes, request->length, MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? errno : 0;
}

/* The errno in the acknowledgement of `sequence`; -1 where this datagram holds none. */
static int find_answer(const uint8_t *bytes, uint32_t length, uint32_t sequence)
{
	struct nfnl_cursor cursor = { .bytes = bytes, .length = length };
	struct nfnl_message message;
	while (nfnl_next(&cursor, &message) == NFNL_WHOLE)
		if (message.type == NLMSG_ERROR && message.sequence == sequence)
			return message.error;
	return -1;
}

int socket_ask(struct netfilter_socket *self, struct nfnl_request *request)
{
	_Alignas(8) uint8_t answer[ANSWER_BYTES];
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)request->bytes;
	uint32_t sequence = ++self->sequence;
	header->nlmsg_flags |= NLM_F_ACK;
	header->nlmsg_seq = sequence;
	int error = socket_tell(self, request);
	for (int i = 0; error == 0 && i < ANSWER_DATAGRAMS_MAX; i++) {
		struct pollfd wait = { .fd = self->fd, .events = POLLIN };
		ssize_t got = recv(self->fd, answer, sizeof answer, MSG_DONTWAIT);
		if (got >= 0) {
			int found = find_answer(answer, (uint32_t)got, sequence);
			if (found >= 0)
				return found;
		} else if (errno == EAGAIN) {
			if (poll(&wait, 1, ANSWER_WAIT_MS) == 0)
				error = ETIMEDOUT;
		} else if (errno != EINTR && errno != ENOBUFS) {
			error = errno;
		}
	}
	return error != 0 ? error : ETIMEDOUT;
}

void socket_refused(struct netfilter_socket *self, const char *proc_file, uint8_t subsystem,
		    uint16_t resource, int error, struct failure *failure)
{
	struct nfnl_request probe;
	(void)fail(failure, "bind", error);
	if (error == EPERM) {
		nfnl_begin(&probe, subsystem, NO_SUCH_MESSAGE, 0, 0, resource);
		if (socket_ask(self, &probe) == EPERM)
			return;
		struct proc_line line;
		failure->code = "QUEUE_TAKEN";
		if (proc_find(proc_file, 0, resource, &line) == PROC_FOUND)
			failure->holder = (uint32_t)line.fields[1];
	} else if ((error == EINVAL || error == EOPNOTSUPP) && !proc_exists(proc_file)) {
		failure->code = "NO_KERNEL_SUPPORT";
	}
}
