#include "reader.h"

#include <stddef.h>

/*
 * Wakes closer than this are waited through: reading ten packets with one wake costs half of reading them with
 * ten. A lone packet is read at once, and so are the few of someone who knocks as fast as he can.
 */
#define COALESCE_UNDER_NS 500000u
#define COALESCE_AFTER_WAKES 8
#define COALESCE_WAIT_MS 1
/* After so many packets the loop's other work gets its turn: about 4 ms of it. */
#define PACKETS_PER_WAKE_MAX 4096

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void poll_again(struct reader *self)
{
	if (!self->closed && !self->coalescing)
		(void)uv_poll_start(&self->poll, UV_READABLE, on_poll);
}

static void read_all(struct reader *self)
{
	struct capture *capture = self->capture;
	uint32_t packets = 0;
	self->busy = true;
	while (packets < PACKETS_PER_WAKE_MAX) {
		if (self->closed || !self->calls->ready(self))
			return;
		int count = capture->kind->fill(capture);
		if (count < 0) {
			reader_close(self);
			self->calls->dead(self, -count);
			return;
		}
		if (count > 0 || capture->lost > 0) {
			packets += capture->weight > 0 ? capture->weight : (uint32_t)count;
			capture->counts.batches++;
			self->calls->deliver(self, (uint32_t)count);
		}
		if (count == 0 || !capture->more) {
			self->busy = false;
			break;
		}
	}
	self->last_read = uv_hrtime();
}

static void tick(struct reader *self)
{
	if (self->closed || self->coalescing)
		return;
	uint32_t wait = self->capture->kind->tick(self->capture, uv_hrtime());
	if (wait > 0)
		(void)uv_timer_start(&self->timer, on_timer, wait, 0);
	else
		(void)uv_timer_stop(&self->timer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct reader *self = poll->data;
	(void)events;
	if (uv_hrtime() - self->last_read >= COALESCE_UNDER_NS)
		self->close_wakes = 0;
	else if (self->close_wakes < COALESCE_AFTER_WAKES)
		self->close_wakes++;
	if (status == 0 && !self->capture->eager && !self->busy && self->close_wakes == COALESCE_AFTER_WAKES) {
		self->coalescing = true;
		(void)uv_poll_stop(&self->poll);
		(void)uv_timer_start(&self->timer, on_timer, COALESCE_WAIT_MS, 0);
		return;
	}
	read_all(self);
	tick(self);
	/* An error on the socket, such as a full buffer, stops libuv's polling; reading has cleared it. */
	if (status != 0)
		poll_again(self);
}

static void on_timer(uv_timer_t *timer)
{
	struct reader *self = timer->data;
	if (self->coalescing) {
		self->coalescing = false;
		read_all(self);
		poll_again(self);
	}
	tick(self);
}

int reader_open(struct reader *self, uv_loop_t *loop, struct capture *capture, const struct reader_calls *calls)
{
	self->calls = calls;
	self->capture = capture;
	self->last_read = 0;
	self->close_wakes = 0;
	self->busy = self->coalescing = self->closed = false;
	self->handles = 0;
	int error = uv_timer_init(loop, &self->timer);
	if (error != 0)
		return error;
	self->timer.data = self;
	self->handles++;
	error = uv_poll_init(loop, &self->poll, capture->socket.fd);
	if (error == 0) {
		self->poll.data = self;
		self->handles++;
		error = uv_poll_start(&self->poll, UV_READABLE, on_poll);
	}
	if (error != 0)
		reader_close(self);
	return error;
}

static void on_closed(uv_handle_t *handle)
{
	struct reader *self = handle->data;
	if (--self->handles == 0)
		self->calls->released(self);
}

void reader_hold(struct reader *self, bool alive)
{
	uv_handle_t *handles[] = { (uv_handle_t *)&self->poll, (uv_handle_t *)&self->timer };
	for (int i = 0; i < 2 && !self->closed; i++) {
		if (alive)
			uv_ref(handles[i]);
		else
			uv_unref(handles[i]);
	}
}

void reader_close(struct reader *self)
{
	if (self->closed)
		return;
	self->closed = true;
	/* libuv first: it must not poll a number that may already be someone else's descriptor. */
	if (self->handles > 1)
		uv_close((uv_handle_t *)&self->poll, on_closed);
	if (self->handles > 0)
		uv_close((uv_handle_t *)&self->timer, on_closed);
	socket_close(&self->capture->socket);
}
