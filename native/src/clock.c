#include "clock.h"

#include <errno.h>
#include <sys/timex.h>

static int read_status(void)
{
	struct timex state = { .modes = 0 };
	int result = adjtimex(&state);
	if (result < 0)
		return -errno;
	return result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

napi_value clock_status(napi_env env, napi_callback_info info)
{
	napi_value result;
	(void)info;
	if (napi_create_int32(env, read_status(), &result) != napi_ok)
		return NULL;
	return result;
}
