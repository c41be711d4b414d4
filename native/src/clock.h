/* Whether the kernel's wall clock is kept in step with others' (adjtimex(2)). Setting it takes a right that we lack. */
#ifndef NFKNOCK_CLOCK_H
#define NFKNOCK_CLOCK_H

#include <node_api.h>

/* clockStatus(): number; 1: synchronised, 0: not, or the errno, negative. */
napi_value clock_status(napi_env env, napi_callback_info info);

#endif
