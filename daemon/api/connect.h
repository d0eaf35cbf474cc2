/*
 * connect.h - connections that a handler opens itself.
 */
#ifndef API_CONNECT_H
#define API_CONNECT_H

struct hd_request;

/* Closes and frees every connection that was opened for this request. */
void connect_close_all(struct hd_request *req);

#endif
