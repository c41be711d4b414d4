/* One datagram to a Unix socket: what sd_notify(3) sends, which Node's core has no socket for. */
#ifndef NFKNOCK_NOTIFY_H
#define NFKNOCK_NOTIFY_H

#include <node_api.h>

/* sendDatagram(address: Uint8Array, bytes: Uint8Array): number; 0, or the errno. A leading 0 byte: abstract. */
napi_value notify_send_datagram(napi_env env, napi_callback_info info);

#endif
