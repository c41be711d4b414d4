/*
 * The Node-API surface: open(kind, number, copyRange, receiveBuffer, maxLength, onBatch, onError), stats(handle),
 * close(handle), hold(handle, alive); of a queue setLength(handle, packets); and of a netlink socket send(handle, bytes),
 * join and leave(handle, group). index.js is its only caller: it checks what people give, this only refuses what would
 * be unsafe.
 * The batch's memory is JavaScript's, an ArrayBuffer that we hold while open; the rest is in `struct handle`.
 */
#include <errno.h>
#include <malloc.h>
#include <node_api.h>
#include <stdlib.h>

#include "fatal.h"
#include "clock.h"
#include "handle.h"
#include "abort.h"
#include "notify.h"

#define ARGUMENTS 7

/* Tells our objects from other people's wrapped ones. */
static const napi_type_tag handle_tag = { 0x6e666b6e6f636b00u, 0x9d1c4be5a7f2e361u };

/* An array over a part of the batch's memory; moves `at` behind it. */
static napi_status add_view(napi_env env, napi_value batch, const char *name, napi_typedarray_type type,
			    uint32_t count, uint32_t element_bytes, napi_value memory, size_t *at)
{
	napi_value view;
	napi_status status = napi_create_typedarray(env, type, count, memory, *at, &view);
	*at += (size_t)count * element_bytes;
	return status != napi_ok ? status : napi_set_named_property(env, batch, name, view);
}

/* The batch: one ArrayBuffer for bytes and index, and the object that shows it. */
static napi_status create_batch(struct handle *self, struct batch_size size, struct batch *batch, napi_value *object)
{
	napi_env env = self->env;
	napi_value memory;
	void *data;
	size_t at = 0;
	size_t index = size.capacity * (sizeof(double) + 3 * sizeof(int32_t));
	napi_status status = napi_create_arraybuffer(env, size.bytes + index, &data, &memory);
	if (status == napi_ok)
		status = napi_create_object(env, object);
	if (status == napi_ok)
		status = add_view(env, *object, "bytes", napi_uint8_array, size.bytes, 1, memory, &at);
	if (status == napi_ok)
		status = add_view(env, *object, "stamps", napi_float64_array, size.capacity, 8, memory, &at);
	if (status == napi_ok)
		status = add_view(env, *object, "offsets", napi_int32_array, size.capacity, 4, memory, &at);
	if (status == napi_ok)
		status = add_view(env, *object, "lengths", napi_int32_array, size.capacity, 4, memory, &at);
	if (status == napi_ok)
		status = add_view(env, *object, "fullLengths", napi_int32_array, size.capacity, 4, memory, &at);
	if (status == napi_ok)
		status = napi_create_reference(env, memory, 1, &self->memory);
	if (status == napi_ok)
		status = napi_create_reference(env, *object, 1, &self->batch);
	if (status != napi_ok)
		return status;
	batch->bytes = data;
	batch->bytes_length = size.bytes;
	batch->capacity = size.capacity;
	batch->stamps = (double *)(void *)(batch->bytes + size.bytes);
	batch->offsets = (int32_t *)(void *)(batch->stamps + size.capacity);
	batch->lengths = batch->offsets + size.capacity;
	batch->full_lengths = batch->lengths + size.capacity;
	return napi_ok;
}

static napi_status set_string(napi_env env, napi_value object, const char *name, const char *value)
{
	napi_value string;
	napi_status status = napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &string);
	return status != napi_ok ? status : napi_set_named_property(env, object, name, string);
}

static napi_status set_number(napi_env env, napi_value object, const char *name, double value)
{
	napi_value number;
	napi_status status = napi_create_double(env, value, &number);
	return status != napi_ok ? status : napi_set_named_property(env, object, name, number);
}

/* { code, operation, errno, holder }: index.js makes a QueueError of it. */
static napi_value describe(napi_env env, const struct failure *failure)
{
	napi_value object;
	if (napi_create_object(env, &object) != napi_ok ||
	    set_string(env, object, "code", failure->code) != napi_ok ||
	    set_string(env, object, "operation", failure->operation) != napi_ok ||
	    set_number(env, object, "errno", failure->error) != napi_ok ||
	    set_number(env, object, "holder", failure->holder) != napi_ok)
		return NULL;
	return object;
}

/* Index.js's KIND. */
enum kind { KIND_QUEUE, KIND_LOG, KIND_NETLINK, KINDS };

struct request {
	uint32_t kind;
	uint32_t number;
	uint32_t copy_range;
	uint32_t receive_buffer;
	uint32_t max_length;
	napi_value on_batch;
	napi_value on_error;
};

static bool is_function(napi_env env, napi_value value)
{
	napi_valuetype type;
	return napi_typeof(env, value, &type) == napi_ok && type == napi_function;
}

/* What would be unsafe further on is refused here too: the copy range decides how much memory a message needs. */
static bool read_request(napi_env env, napi_callback_info info, struct request *request)
{
	napi_value arguments[ARGUMENTS];
	size_t count = ARGUMENTS;
	bool sound = napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count == ARGUMENTS &&
		     napi_get_value_uint32(env, arguments[0], &request->kind) == napi_ok && request->kind < KINDS &&
		     napi_get_value_uint32(env, arguments[1], &request->number) == napi_ok &&
		     napi_get_value_uint32(env, arguments[2], &request->copy_range) == napi_ok &&
		     napi_get_value_uint32(env, arguments[3], &request->receive_buffer) == napi_ok &&
		     napi_get_value_uint32(env, arguments[4], &request->max_length) == napi_ok &&
		     is_function(env, arguments[5]) && is_function(env, arguments[6]) &&
		     request->number <= UINT16_MAX && request->copy_range > 0 && request->copy_range <= UINT16_MAX;
	request->on_batch = arguments[5];
	request->on_error = arguments[6];
	return sound;
}

static bool open_socket(struct handle *self, const struct request *request, const struct batch *batch,
			struct failure *failure)
{
	struct nfqueue_options queue = {
		.queue = (uint16_t)request->number,
		.copy_range = request->copy_range,
		.receive_buffer = request->receive_buffer,
		.max_length = request->max_length,
	};
	struct nflog_options log = {
		.group = (uint16_t)request->number,
		.copy_range = request->copy_range,
		.receive_buffer = request->receive_buffer,
	};
	if (request->kind == KIND_NETLINK) {
		self->capture = &self->source.netlink.capture;
		return netlink_open(&self->source.netlink, request->receive_buffer, batch, failure);
	}
	if (request->kind == KIND_LOG) {
		self->capture = &self->source.log.capture;
		return nflog_open(&self->source.log, &log, batch, failure);
	}
	self->capture = &self->source.queue.capture;
	return nfqueue_open(&self->source.queue, &queue, batch, failure);
}

static struct batch_size size_of(const struct request *request)
{
	struct nfqueue_options options = { .copy_range = request->copy_range };
	if (request->kind == KIND_NETLINK)
		return netlink_batch_size();
	return request->kind == KIND_LOG ? nflog_batch_size() : nfqueue_batch_size(&options);
}

/* Everything that JavaScript must give before the socket is opened. */
static napi_status prepare(struct handle *self, const struct request *request, struct batch *batch, napi_value *object)
{
	napi_env env = self->env;
	napi_value name;
	napi_value shown;
	napi_status status = create_batch(self, size_of(request), batch, &shown);
	if (status == napi_ok)
		status = napi_create_reference(env, request->on_batch, 1, &self->on_batch);
	if (status == napi_ok)
		status = napi_create_reference(env, request->on_error, 1, &self->on_error);
	if (status == napi_ok)
		status = napi_create_string_utf8(env, "NFQUEUE", NAPI_AUTO_LENGTH, &name);
	if (status == napi_ok)
		status = napi_async_init(env, NULL, name, &self->async);
	if (status == napi_ok)
		status = napi_create_object(env, object);
	if (status == napi_ok)
		status = napi_set_named_property(env, *object, "batch", shown);
	if (status == napi_ok)
		status = napi_type_tag_object(env, *object, &handle_tag);
	return status;
}

/* Nothing but memory and references exists yet. */
static napi_value abandon(struct handle *self, const struct failure *failure)
{
	napi_env env = self->env;
	handle_discard(self);
	return describe(env, failure);
}

static napi_value open_handle(napi_env env, napi_callback_info info)
{
	struct request request;
	struct batch batch;
	struct failure failure = { .code = "SOCKET_FAILED", .operation = "allocate", .error = ENOMEM };
	napi_value object;
	uv_loop_t *loop;
	if (!read_request(env, info, &request)) {
		(void)napi_throw_type_error(env, NULL, "native open: wrong arguments");
		return NULL;
	}
	struct handle *self = calloc(1, sizeof *self);
	if (self == NULL)
		return describe(env, &failure);
	self->env = env;
	if (napi_get_uv_event_loop(env, &loop) != napi_ok || prepare(self, &request, &batch, &object) != napi_ok ||
	    !open_socket(self, &request, &batch, &failure))
		return abandon(self, &failure);
	if (napi_wrap(env, object, self, handle_collected, NULL, NULL) != napi_ok) {
		socket_close(&self->capture->socket);
		return abandon(self, &failure);
	}
	failure = (struct failure){ .code = "SOCKET_FAILED", .operation = "poll" };
	failure.error = handle_start(self, loop);
	return failure.error == 0 ? object : describe(env, &failure);
}

static struct handle *refuse(napi_env env, const char *message)
{
	bool thrown = false;
	if (napi_is_exception_pending(env, &thrown) == napi_ok && !thrown)
		(void)napi_throw_type_error(env, NULL, message);
	return NULL;
}

/* The handle, and what was given besides. */
static struct handle *handle_and(napi_env env, napi_callback_info info, napi_value *second)
{
	napi_value arguments[2];
	size_t count = 2;
	bool ours = false;
	void *data = NULL;
	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok ||
	    napi_check_object_type_tag(env, arguments[0], &handle_tag, &ours) != napi_ok || !ours ||
	    napi_unwrap(env, arguments[0], &data) != napi_ok)
		return refuse(env, "not a handle of this addon");
	*second = arguments[1];
	return data;
}

static struct handle *this_handle(napi_env env, napi_callback_info info)
{
	napi_value second;
	return handle_and(env, info, &second);
}

static napi_value number(napi_env env, int value)
{
	napi_value result;
	return napi_create_int32(env, value, &result) == napi_ok ? result : NULL;
}

static napi_value hold(napi_env env, napi_callback_info info)
{
	napi_value second;
	bool alive;
	struct handle *self = handle_and(env, info, &second);
	if (self == NULL)
		return NULL;
	if (napi_get_value_bool(env, second, &alive) == napi_ok)
		reader_hold(&self->reader, alive);
	else
		(void)refuse(env, "native hold: wrong arguments");
	return NULL;
}

/* A handle of a netlink socket; its descriptor is -1 once it is closed, and every call answers EBADF then. */
static struct handle *netlink_and(napi_env env, napi_callback_info info, napi_value *second)
{
	struct handle *self = handle_and(env, info, second);
	if (self != NULL && self->capture != &self->source.netlink.capture)
		return refuse(env, "not a netlink socket");
	return self;
}

static napi_value send_messages(napi_env env, napi_callback_info info)
{
	napi_value second;
	void *bytes;
	size_t length;
	struct handle *self = netlink_and(env, info, &second);
	if (self == NULL)
		return NULL;
	if (napi_get_buffer_info(env, second, &bytes, &length) != napi_ok) {
		(void)refuse(env, "native send: wrong arguments");
		return NULL;
	}
	return number(env, netlink_send(self->capture, bytes, length));
}

static napi_value change_membership(napi_env env, napi_callback_info info, int (*change)(struct capture *, uint32_t))
{
	napi_value second;
	uint32_t group;
	struct handle *self = netlink_and(env, info, &second);
	if (self == NULL)
		return NULL;
	if (napi_get_value_uint32(env, second, &group) != napi_ok) {
		(void)refuse(env, "native join: wrong arguments");
		return NULL;
	}
	return number(env, change(self->capture, group));
}

static napi_value join(napi_env env, napi_callback_info info)
{
	return change_membership(env, info, netlink_join);
}

static napi_value leave(napi_env env, napi_callback_info info)
{
	return change_membership(env, info, netlink_leave);
}

/* The descriptor of a closed queue is -1: EBADF. */
static napi_value set_length(napi_env env, napi_callback_info info)
{
	napi_value second;
	uint32_t packets;
	struct handle *self = handle_and(env, info, &second);
	if (self == NULL)
		return NULL;
	if (self->capture != &self->source.queue.capture || napi_get_value_uint32(env, second, &packets) != napi_ok) {
		(void)refuse(env, "native setLength: wrong arguments");
		return NULL;
	}
	return number(env, nfqueue_set_length(self->capture, packets));
}

static napi_value close_from_javascript(napi_env env, napi_callback_info info)
{
	struct handle *self = this_handle(env, info);
	if (self != NULL)
		handle_close(self);
	return NULL;
}

/* Undefined once the handle is closed. */
static napi_value stats(napi_env env, napi_callback_info info)
{
	struct handle *self = this_handle(env, info);
	struct counts counts;
	napi_value object;
	napi_value complete;
	if (self == NULL || self->reader.closed)
		return NULL;
	self->capture->kind->count(self->capture, &counts);
	if (napi_create_object(env, &object) != napi_ok ||
	    set_number(env, object, "packets", (double)counts.packets) != napi_ok ||
	    set_number(env, object, "batches", (double)counts.batches) != napi_ok ||
	    set_number(env, object, "depth", (double)counts.depth) != napi_ok ||
	    set_number(env, object, "kernelDropped", (double)counts.kernel_dropped) != napi_ok ||
	    set_number(env, object, "userDropped", (double)counts.user_dropped) != napi_ok ||
	    set_number(env, object, "errors", (double)counts.errors) != napi_ok ||
	    set_number(env, object, "overruns", (double)counts.overruns) != napi_ok ||
	    napi_get_boolean(env, !counts.partial, &complete) != napi_ok ||
	    napi_set_named_property(env, object, "complete", complete) != napi_ok)
		return NULL;
	return object;
}

/*
 * Blocks from this size on come from the kernel, which gives zeros a page at a time as they are touched. glibc raises the
 * size after each that is freed, up to 32 MiB, and then clears the whole table of a reload at once: 50 to 75 ms in which
 * no packet is judged. Set once, it stays.
 */
#define KERNEL_BLOCK_BYTES (256 * 1024)

NAPI_MODULE_INIT()
{
#ifdef __GLIBC__
	(void)mallopt(M_MMAP_THRESHOLD, KERNEL_BLOCK_BYTES);
#endif
	napi_property_descriptor functions[] = {
		{ .utf8name = "open", .method = open_handle, .attributes = napi_enumerable },
		{ .utf8name = "close", .method = close_from_javascript, .attributes = napi_enumerable },
		{ .utf8name = "stats", .method = stats, .attributes = napi_enumerable },
		{ .utf8name = "hold", .method = hold, .attributes = napi_enumerable },
		{ .utf8name = "setLength", .method = set_length, .attributes = napi_enumerable },
		{ .utf8name = "send", .method = send_messages, .attributes = napi_enumerable },
		{ .utf8name = "join", .method = join, .attributes = napi_enumerable },
		{ .utf8name = "leave", .method = leave, .attributes = napi_enumerable },
		{ .utf8name = "sayLastLine", .method = fatal_say_last_line, .attributes = napi_enumerable },
		{ .utf8name = "sendDatagram", .method = notify_send_datagram, .attributes = napi_enumerable },
		{ .utf8name = "abortConnection", .method = abort_connection, .attributes = napi_enumerable },
		{ .utf8name = "clockStatus", .method = clock_status, .attributes = napi_enumerable },
	};
	(void)napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
	return exports;
}
