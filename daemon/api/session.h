/*
 * session.h - one connection from accept to close, the same for every concurrency mode.
 */
#ifndef API_SESSION_H
#define API_SESSION_H

struct hd_request;

/* Runs verify, setup, handle, finish, handle_error, flush and close on an open request. */
void session_run(struct hd_request *req);

/* The handler has left its flow of control without returning: ends the session without calling it
 * again. finish does not run, as it does not after a crash. */
void session_abandon(struct hd_request *req);

#endif
