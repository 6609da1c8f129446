/* Texts of rows too big for a message: fetched when somebody asks, checked
 * against their digest, kept in memory up to a bound. Safe from any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/record.h"

struct core;
struct text_cache;

struct text *text_new(const char *data, size_t len); /* adds the newline */
struct text *text_ref(struct text *t);

struct text_cache *text_cache_new(struct core *core, uint64_t budget);
void text_cache_free(struct text_cache *c); /* NULL is fine */

/* By the attachment's id: a reference, or NULL where it is not in memory. */
struct text *text_find(struct text_cache *c, uint64_t file);

/* A text this process has just written is asked for next. */
void text_keep(struct text_cache *c, uint64_t file, struct text *t);

/* 0: *out is set, done is not called. 1: done will be called. Those who ask
 * while a download is under way share it. r tells the digest (and with
 * r->holder the message); its strings are copied. */
int text_load(struct text_cache *c, uint64_t channel, const struct record *r,
              struct text **out, text_loaded *done, void *arg);

uint64_t text_cache_bytes(struct text_cache *c);
