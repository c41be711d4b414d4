/* Ends a TCP connection of this machine at once, as `ss -K` does; Node's core has nothing for it. */
#ifndef NFKNOCK_ABORT_H
#define NFKNOCK_ABORT_H

#include <node_api.h>

/*
 * abortConnection(local: Uint8Array, localPort: number, remote: Uint8Array, remotePort: number): number; 0, or the
 * errno: ENOENT where this machine has no such connection.
 */
napi_value abort_connection(napi_env env, napi_callback_info info);

#endif
