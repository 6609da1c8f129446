/* Discord's error bodies. Each answers the call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct json_object;

/* {"message":…,"code":…} */
void call_error(struct call *c, int status, int code, const char *message);

/* The frequent ones. */
void call_unknown(struct call *c, int code, const char *what); /* 404 */
void call_missing_access(struct call *c);                      /* 403/50001 */
void call_missing_permissions(struct call *c);                 /* 403/50013 */

/* A 429; scope is "user", "global" or "shared"; code 0 is left out. */
void call_limited(struct call *c, int64_t retry_ms, const char *scope,
                  int code);

/* The tree of `errors`: a path is field names and indexes joined by dots,
 * "embeds.0.title"; "" is the whole request. The first error of a path stays
 * first, more may follow. */
struct form {
    struct json_object *errors; /* NULL: none so far */
};

#define FORM_INIT ((struct form){0})

void form_error(struct form *f, const char *path, const char *code,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static inline bool form_failed(const struct form *f)
{
    return f->errors != NULL;
}
void form_release(struct form *f);

/* 400/50035 with the tree, which is taken over. */
void call_form(struct call *c, struct form *f);

/* For one error. */
void call_form_error(struct call *c, const char *path, const char *code,
                     const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Reading a body's fields. `at` is the path of obj ("" at the top); what is
 * wrong goes into f, and FIELD_BAD is returned. */
enum field { FIELD_ABSENT, FIELD_NULL, FIELD_OK, FIELD_BAD };

/* Length in UTF-16 units, between min and max, of the text as it is. */
enum field field_string(struct form *f, struct json_object *obj, const char *at,
                        const char *key, size_t min, size_t max,
                        const char **out);
enum field field_int(struct form *f, struct json_object *obj, const char *at,
                     const char *key, int64_t min, int64_t max, int64_t *out);
enum field field_bool(struct form *f, struct json_object *obj, const char *at,
                      const char *key, bool *out);
enum field field_id(struct form *f, struct json_object *obj, const char *at,
                    const char *key, uint64_t *out);
/* Permission bits: a decimal string or an integer. */
enum field field_bits(struct form *f, struct json_object *obj, const char *at,
                      const char *key, uint64_t *out);
enum field field_array(struct form *f, struct json_object *obj, const char *at,
                       const char *key, size_t max, struct json_object **out);
enum field field_object(struct form *f, struct json_object *obj, const char *at,
                        const char *key, struct json_object **out);

/* "at.key", or key when at is ""; into out, which is returned. */
#define FORM_PATH_SIZE 160
const char *form_path(char out[FORM_PATH_SIZE], const char *at,
                      const char *key);
const char *form_index(char out[FORM_PATH_SIZE], const char *at, size_t i);
