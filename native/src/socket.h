/* A NETLINK_NETFILTER socket: opened, asked, and why it refused. Knows nothing of Node. */
#ifndef NFSOCKET_H
#define NFSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nfnl.h"

/* What went wrong, for QueueError; index.js puts it into words. */
struct failure {
	/* NOT_PERMITTED, QUEUE_TAKEN, NO_KERNEL_SUPPORT, SOCKET_FAILED */
	const char *code;
	/* The system call or request that was refused. */
	const char *operation;
	/* errno, positive. */
	int error;
	/* QUEUE_TAKEN: the holder's netlink port, mostly its process id; 0: unknown. */
	uint32_t holder;
};

struct netfilter_socket {
	int fd;
	/* The address that the kernel sends to. */
	uint32_t port;
	uint32_t sequence;
};

/*
 * Opens a close-on-exec, non-blocking socket with `receive_buffer` bytes of room (as far as the system lets us),
 * and without ENOBUFS reports. False: `failure` says why.
 */
bool socket_open(struct netfilter_socket *socket, uint32_t receive_buffer, struct failure *failure);
/* Switches the kernel's stamping of packets on: it stamps them while any socket in the system asks for it. */
void socket_stamp(const struct netfilter_socket *socket);
/* Idempotent. */
void socket_close(struct netfilter_socket *socket);

/*
 * Sends a request that wants an acknowledgement and waits for it (the kernel answers within the call). Messages
 * that come before it are dropped: for use before packets flow. 0, or errno.
 */
int socket_ask(struct netfilter_socket *socket, struct nfnl_request *request);
/* Sends without waiting. 0, or errno. */
int socket_tell(struct netfilter_socket *socket, const struct nfnl_request *request);

/*
 * Words a refused bind of queue or group `resource`. Whether EPERM means "no right" or "taken" is asked of the
 * kernel, not guessed: the same request to nobody's queue is refused only for want of the right.
 */
void socket_refused(struct netfilter_socket *socket, const char *proc_file, uint8_t subsystem,
		    uint16_t resource, int error, struct failure *failure);

#endif
