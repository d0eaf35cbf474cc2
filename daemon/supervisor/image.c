/*
 * image.c - all that makes a difference to the workers of a listener, as bytes: two listeners with
 * the same need no new worker.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/listener.h"
#include "supervisor/plan.h"

static void
image_add_addresses(struct listener *listener)
{
	const struct conf_listener *conf = listener->conf;

	buf_add_u64(&listener->address_image, (uint64_t)conf->protocol);
	for (size_t i = 0; i < conf->address_texts.count; i++)
		buf_add_text(&listener->address_image, conf->address_texts.items[i]);
}

static void
image_add_texts(struct listener *listener, const struct conf_texts *texts)
{
	buf_add_u64(&listener->image, texts->count);
	for (size_t i = 0; i < texts->count; i++)
		buf_add_text(&listener->image, texts->items[i]);
}

/* What the file says may change at any time; names, only here. */
static void
image_add_access(struct listener *listener)
{
	const struct conf_access *conf = &listener->conf->access;
	const struct access_lists *access = listener->access;

	image_add_texts(listener, &conf->allow);
	image_add_texts(listener, &conf->deny);
	image_add_texts(listener, &conf->times);
	buf_add_text(&listener->image, conf->file);
	for (size_t i = 0; access != NULL && i < access->id_count; i++)
		buf_add_u32(&listener->image, access->ids[i]);
}

void
listener_make_image(struct listener *listener)
{
	struct worker_settings settings = listener_settings(listener, 0, WORKER_SERVE);
	char **environment = listener_environment(&listener->identity, listener->conf);
	const struct conf_socket *conf = &listener->conf->socket;
	struct socket_options options = sockets_options(listener->conf);

	worker_settings_write(&settings, &listener->image);
	for (char **entry = environment; *entry != NULL; entry++)
		buf_add_text(&listener->image, *entry);
	buf_add(&listener->image, &options, sizeof(options));
	buf_add_u64(&listener->image, (uint64_t)listener->conf->start);
	buf_add_u64(&listener->image, (uint64_t)conf->reuse_port);
	buf_add_u64(&listener->image, (uint64_t)conf->mode);
	buf_add_text(&listener->image, conf->owner);
	buf_add_text(&listener->image, conf->group);
	image_add_addresses(listener);
	image_add_access(listener);
	listener_free_environment(environment);
	listener_free_settings(&settings);
}

static bool
image_is_same(const struct buf *a, const struct buf *b)
{
	return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

unsigned
listener_compare(const struct listener *a, const struct listener *b)
{
	unsigned changes = 0;

	if (!image_is_same(&a->address_image, &b->address_image))
		changes |= PLAN_ADDRESS;
	if (!pin_equal(&a->pin, &b->pin))
		changes |= PLAN_HANDLER;
	if (!image_is_same(&a->image, &b->image))
		changes |= PLAN_SETTINGS;
	return changes;
}

bool
listener_is_entry_same(const struct listener *listener, const struct conf_listener *conf)
{
	const struct conf_listener *entries[] = {listener->conf, conf};
	char *texts[COUNT_OF(entries)] = {0};
	bool is_same = true;

	for (size_t i = 0; i < COUNT_OF(entries); i++) {
		size_t size;
		FILE *out = open_memstream(&texts[i], &size);

		if (out == NULL)
			continue;
		config_emit_listener(entries[i], out);
		(void)fclose(out);
	}
	if (texts[0] != NULL && texts[1] != NULL)
		is_same = strcmp(texts[0], texts[1]) == 0;
	free(texts[0]);
	free(texts[1]);
	return is_same;
}
