/* One version of one row: immutable, shared, counted. Who holds a reference
 * may read it on any thread without a lock. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row {
    atomic_uint refs;
    uint32_t version;  /* from 1; a deletion is a version too */
    uint64_t id;       /* the message whose record committed this version */
    uint64_t base;     /* the message that committed the version before; 0:
                          there was none, or a snapshot did not tell */
    uint64_t home;     /* the row's own message in the table channel, which the
                          background writer keeps up to date; 0: it has none,
                          it came in a batch */
    uint64_t seq;      /* place in the listing, the same for all versions */
    int64_t at_ms;     /* when it was committed, by the writer's clock */
    int64_t mtime_ms;  /* what ls shows: at_ms, or what the writer asked for */
    const char *by;    /* who; interned by the table, lives as long as it */
    uint64_t file;     /* attachment with the text; 0: text is here */
    uint64_t holder;   /* the message the text stands in or hangs on: id, unless
                          that one is lost or its text is known from a copy */
    uint32_t text_len; /* bytes of text with its newline, here or not */
    uint16_t key_len;
    bool deleted : 1; /* a tombstone: no text */
    bool has_text : 1;
    bool has_values : 1;
    char data[]; /* key, NUL, then text or values (NUL-terminated) */
};

static inline const char *row_key(const struct row *r)
{
    return r->data;
}

/* The row's JSON text, exactly as written, ending in one newline; NULL where
 * it is in an attachment: table_load_text(). */
static inline const char *row_text(const struct row *r)
{
    return r->has_text ? r->data + r->key_len + 1 : NULL;
}

/* Of a row whose text is in an attachment, and whose table has indexes: the
 * values of the indexed fields (values_find() of value.h), NUL-terminated;
 * else NULL. */
static inline const char *row_values(const struct row *r)
{
    return r->has_values ? r->data + r->key_len + 1 : NULL;
}

/* A row with room for key and text, both copied; text NULL: none here. text
 * comes without the newline at its end. text_len counts either way (a
 * tombstone: 0). One reference, everything else zero. */
struct row *row_new(const char *key, size_t key_len, const char *text,
                    size_t text_len);
/* One without text, with its values: a C string, copied. */
struct row *row_new_values(const char *key, size_t key_len, size_t text_len,
                           const char *values, size_t values_len);

/* All but key, text and values, and what says whether they are there. */
void row_copy_rest(struct row *to, const struct row *from);

/* The same with a reference of its own, for who must change a field of a row
 * that others may hold. */
struct row *row_copy(const struct row *r);

struct row *row_ref(struct row *r);
void row_unref(struct row *r); /* NULL is fine */
