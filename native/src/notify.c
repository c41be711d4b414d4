#include "notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct bytes {
	const void *data;
	size_t length;
};

static bool read_bytes(napi_env env, napi_value value, struct bytes *bytes)
{
	napi_typedarray_type type;
	void *data = NULL;
	bool is_array = false;
	bool sound = napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
		     napi_get_typedarray_info(env, value, &type, &bytes->length, &data, NULL, NULL) == napi_ok &&
		     type == napi_uint8_array;
	bytes->data = data;
	return sound && bytes->length > 0;
}

/*
 * The socket stays: a daemon with no descriptor left must still say that it is alive, or it is ended for want of a word.
 * It is connected to nobody, so that a receiver that starts anew is found, and closed in every child. Nobody is waited
 * for, since the event loop would stand still: a full receiver is EAGAIN, and the caller tries again.
 */
static int send_datagram(struct bytes path, struct bytes message)
{
	static int descriptor = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.length);
	if (path.length > sizeof address.sun_path)
		return ENAMETOOLONG;
	memcpy(address.sun_path, path.data, path.length);
	if (descriptor < 0)
		descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return errno;
	ssize_t sent = sendto(descriptor, message.data, message.length, MSG_NOSIGNAL | MSG_DONTWAIT,
			      (const struct sockaddr *)&address, length);
	return sent < 0 ? errno : 0;
}

napi_value notify_send_datagram(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	size_t count = 2;
	struct bytes path;
	struct bytes message;
	napi_value result;
	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 2 ||
	    !read_bytes(env, arguments[0], &path) || !read_bytes(env, arguments[1], &message)) {
		(void)napi_throw_type_error(env, NULL, "native sendDatagram: wrong arguments");
		return NULL;
	}
	if (napi_create_int32(env, send_datagram(path, message), &result) != napi_ok)
		return NULL;
	return result;
}
