#include "handle.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static void disown(struct handle *self)
{
	if (--self->owners == 0)
		free(self);
}

static void drop_reference(napi_env env, napi_ref *reference)
{
	if (*reference != NULL)
		(void)napi_delete_reference(env, *reference);
	*reference = NULL;
}

static void drop_references(struct handle *self)
{
	drop_reference(self->env, &self->batch);
	drop_reference(self->env, &self->memory);
	drop_reference(self->env, &self->on_batch);
	drop_reference(self->env, &self->on_error);
}

/* Not before the last callback has returned: it runs within this context. */
static void drop_context(struct handle *self)
{
	if (self->async != NULL)
		(void)napi_async_destroy(self->env, self->async);
	self->async = NULL;
}

void handle_discard(struct handle *self)
{
	drop_references(self);
	drop_context(self);
	free(self);
}

void handle_close(struct handle *self)
{
	reader_close(&self->reader);
	drop_references(self);
}

/* Calls JavaScript from the loop. What it throws becomes an uncaught exception, and we go on. */
static void call(struct handle *self, napi_value function, size_t count, const napi_value *arguments)
{
	napi_env env = self->env;
	napi_value receiver;
	napi_value error;
	bool thrown = false;
	if (napi_get_global(env, &receiver) != napi_ok)
		return;
	if (napi_make_callback(env, self->async, receiver, function, count, arguments, NULL) == napi_ok)
		return;
	/* A worker being terminated fails the call with nothing thrown. */
	if (napi_is_exception_pending(env, &thrown) != napi_ok || !thrown)
		return;
	if (napi_get_and_clear_last_exception(env, &error) == napi_ok)
		(void)napi_fatal_exception(env, error);
}

static struct handle *of(struct reader *reader)
{
	return (struct handle *)(void *)((char *)reader - offsetof(struct handle, reader));
}

static void on_dead(struct reader *reader, int error)
{
	struct handle *self = of(reader);
	napi_handle_scope scope;
	napi_value function;
	napi_value number;
	if (napi_open_handle_scope(self->env, &scope) != napi_ok)
		return;
	if (napi_get_reference_value(self->env, self->on_error, &function) == napi_ok &&
	    napi_create_int32(self->env, error, &number) == napi_ok)
		call(self, function, 1, &number);
	drop_references(self);
	(void)napi_close_handle_scope(self->env, scope);
}

/* JavaScript can give an ArrayBuffer away (postMessage with a transfer list); then it is no longer ours to write. */
static bool on_ready(struct reader *reader)
{
	struct handle *self = of(reader);
	napi_handle_scope scope;
	napi_value memory;
	bool detached = true;
	if (napi_open_handle_scope(self->env, &scope) != napi_ok)
		return false;
	if (napi_get_reference_value(self->env, self->memory, &memory) == napi_ok)
		(void)napi_is_detached_arraybuffer(self->env, memory, &detached);
	(void)napi_close_handle_scope(self->env, scope);
	if (!detached)
		return true;
	reader_close(reader);
	on_dead(reader, EFAULT);
	return false;
}

static void on_deliver(struct reader *reader, uint32_t count)
{
	struct handle *self = of(reader);
	napi_handle_scope scope;
	napi_value function;
	napi_value arguments[3];
	uint64_t lost = self->capture->lost;
	if (napi_open_handle_scope(self->env, &scope) != napi_ok)
		return;
	if (napi_get_reference_value(self->env, self->on_batch, &function) == napi_ok &&
	    napi_get_reference_value(self->env, self->batch, &arguments[0]) == napi_ok &&
	    napi_create_uint32(self->env, count, &arguments[1]) == napi_ok &&
	    napi_create_double(self->env, (double)lost, &arguments[2]) == napi_ok) {
		self->capture->lost = 0;
		call(self, function, 3, arguments);
	}
	(void)napi_close_handle_scope(self->env, scope);
}

static void on_released(struct reader *reader)
{
	struct handle *self = of(reader);
	drop_context(self);
	if (self->hook != NULL)
		(void)napi_remove_async_cleanup_hook(self->hook);
	self->hook = NULL;
	disown(self);
}

static const struct reader_calls calls = {
	.ready = on_ready,
	.deliver = on_deliver,
	.dead = on_dead,
	.released = on_released,
};

/* The environment ends (process exit, worker ended) with the handle open, or still closing. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data)
{
	(void)hook;
	handle_close(data);
}

void handle_collected(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	disown(data);
}

int handle_start(struct handle *self, uv_loop_t *loop)
{
	self->owners = 2;
	int error = reader_open(&self->reader, loop, self->capture, &calls);
	if (error == 0 && napi_add_async_cleanup_hook(self->env, on_environment_end, self, &self->hook) != napi_ok)
		error = UV_ENOMEM;
	if (error != 0)
		handle_close(self);
	return -error;
}
