#include "abort.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* TCP_LISTEN of the kernel's net/tcp_states.h. */
#define STATE_LISTEN 10
/* More than an answer about one socket takes without extensions. */
#define ANSWER_BYTES 1024

struct end {
	uint8_t address[16];
	size_t length;
	uint16_t port;
};

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 about;
};

static bool read_end(napi_env env, napi_value bytes, napi_value number, struct end *end)
{
	napi_typedarray_type type;
	void *data = NULL;
	bool is_array = false;
	uint32_t port = 0;
	if (napi_is_typedarray(env, bytes, &is_array) != napi_ok || !is_array ||
	    napi_get_typedarray_info(env, bytes, &type, &end->length, &data, NULL, NULL) != napi_ok ||
	    type != napi_uint8_array || (end->length != 4 && end->length != 16) ||
	    napi_get_value_uint32(env, number, &port) != napi_ok || port > UINT16_MAX)
		return false;
	memcpy(end->address, data, end->length);
	end->port = (uint16_t)port;
	return true;
}

static struct request request_for(const struct end *local, const struct end *remote)
{
	struct request request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.about = {
			.sdiag_family = local->length == 4 ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = UINT32_MAX,
			.id = {
				.idiag_sport = htons(local->port),
				.idiag_dport = htons(remote->port),
				.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
			},
		},
	};
	memcpy(request.about.id.idiag_src, local->address, local->length);
	memcpy(request.about.id.idiag_dst, remote->address, remote->length);
	return request;
}

/* The kernel answers before `send` returns. 0 and an answer of a socket, or the errno. */
static int ask(int descriptor, const struct request *request, struct inet_diag_msg *about)
{
	union {
		struct nlmsghdr head;
		uint8_t bytes[ANSWER_BYTES];
	} answer;
	if (send(descriptor, request, sizeof *request, 0) < 0)
		return errno;
	ssize_t length = recv(descriptor, &answer, sizeof answer, MSG_DONTWAIT);
	if (length < 0)
		return errno;
	if ((size_t)length < sizeof answer.head || answer.head.nlmsg_len > (size_t)length)
		return EBADMSG;
	if (answer.head.nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr error;
		if (answer.head.nlmsg_len < NLMSG_LENGTH(sizeof error))
			return EBADMSG;
		memcpy(&error, NLMSG_DATA(&answer.head), sizeof error);
		return -error.error;
	}
	if (about == NULL || answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    answer.head.nlmsg_len < NLMSG_LENGTH(sizeof *about))
		return EBADMSG;
	memcpy(about, NLMSG_DATA(&answer.head), sizeof *about);
	return 0;
}

/*
 * Where no connection has these two ends the kernel answers with the socket that listens there, and to end that would
 * end the service: what it found is looked at first, and then ended by its cookie, which no other socket has.
 */
static int end_connection(int descriptor, const struct end *local, const struct end *remote)
{
	struct request request = request_for(local, remote);
	struct inet_diag_msg found;
	int error = ask(descriptor, &request, &found);
	if (error != 0)
		return error;
	if (found.idiag_state == STATE_LISTEN || found.id.idiag_dport != htons(remote->port))
		return ENOENT;
	request.head.nlmsg_type = SOCK_DESTROY;
	request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	memcpy(request.about.id.idiag_cookie, found.id.idiag_cookie, sizeof found.id.idiag_cookie);
	return ask(descriptor, &request, NULL);
}

napi_value abort_connection(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	size_t count = 4;
	struct end local;
	struct end remote;
	napi_value result;
	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 4 ||
	    !read_end(env, arguments[0], arguments[1], &local) || !read_end(env, arguments[2], arguments[3], &remote) ||
	    local.length != remote.length) {
		(void)napi_throw_type_error(env, NULL, "native abortConnection: wrong arguments");
		return NULL;
	}
	int descriptor = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int error = descriptor < 0 ? errno : end_connection(descriptor, &local, &remote);
	if (descriptor >= 0)
		(void)close(descriptor);
	if (napi_create_int32(env, error, &result) != napi_ok)
		return NULL;
	return result;
}
