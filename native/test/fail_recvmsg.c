/*
 * Preloaded: recvmsg on a netlink socket fails once with ECONNRESET for each time that the file named by FAIL_RECVMSG
 * appears, as if the kernel had ended the socket. test/kernel/netlink-contract compiles it on demand.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	int domain = 0;
	socklen_t length = sizeof domain;
	const char *file = getenv("FAIL_RECVMSG");
	if (real == NULL)
		real = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	if (file != NULL && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK &&
	    unlink(file) == 0) {
		errno = ECONNRESET;
		return -1;
	}
	return real(fd, message, flags);
}
