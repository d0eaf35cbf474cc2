/*
 * memory.c - limits.request_memory: what hd_alloc and the buffers of one request take, those of the
 * connections that it has made included.
 */
#include "api/request.h"
#include "api/server.h"

bool
request_take_memory(struct hd_request *req, size_t size)
{
	size_t most = req->server->request_memory;
	const struct hd_request *root = req;

	if (most == 0)
		return true;
	while (root->parent != NULL)
		root = root->parent;
	if (size > most || root->memory > most - size)
		return false;
	for (; req != NULL; req = req->parent)
		req->memory += size;
	return true;
}

void
request_give_memory(struct hd_request *req, size_t size)
{
	if (req->server->request_memory == 0)
		return;
	for (; req != NULL; req = req->parent)
		req->memory -= size < req->memory ? size : req->memory;
}
