/* The last line of a process that native code ends: abort(), a failed allocation, a bad address. */
#ifndef NFKNOCK_FATAL_H
#define NFKNOCK_FATAL_H

#include <node_api.h>

/*
 * sayLastLine(path, before, after, last: Uint8Array): from now on SIGABRT, SIGSEGV, SIGBUS, SIGILL and SIGFPE append
 * `before`, the moment, `after`, the signal's name and `last` to the file (an empty path: standard output), and then end
 * the process as they did before. 0, or an errno. What was set before is replaced.
 */
napi_value fatal_say_last_line(napi_env env, napi_callback_info info);

#endif
