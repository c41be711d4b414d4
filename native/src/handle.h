/*
 * A handle: an open queue or group with what JavaScript gave for it. Lives until both JavaScript has dropped its
 * object and libuv has closed its handles. Nothing is shared between environments, so that worker threads can
 * each have their own.
 */
#ifndef HANDLE_H
#define HANDLE_H

#include <node_api.h>

#include "netlink.h"
#include "nflog.h"
#include "nfqueue.h"
#include "reader.h"

struct handle {
	struct reader reader;
	union {
		struct nfqueue queue;
		struct nflog log;
		struct netlink netlink;
	} source;
	struct capture *capture;
	napi_env env;
	napi_async_context async;
	napi_async_cleanup_hook_handle hook;
	napi_ref batch;
	napi_ref memory;
	napi_ref on_batch;
	napi_ref on_error;
	/* JavaScript's object and libuv's handles. */
	int owners;
};

/* Begins to read; from here on JavaScript and libuv each own the handle. 0, or an errno; then it is closed. */
int handle_start(struct handle *handle, uv_loop_t *loop);
/* Idempotent, allowed inside a callback; no callback comes after it. */
void handle_close(struct handle *handle);
/* Frees a handle that was never started. */
void handle_discard(struct handle *handle);
/* JavaScript's object is gone: the finalizer for napi_wrap. */
void handle_collected(napi_env env, void *data, void *hint);

#endif
