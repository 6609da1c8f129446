/* What the files of the commands share; for them alone. */
#pragma once

#include "engine/command/command.h"
#include "engine/engine.h"
#include "engine/find.h"
#include "engine/query.h"

extern const struct command command_count_rows; /* their short names */
extern const struct command command_delete;
extern const struct command command_explain;
extern const struct command command_export;
extern const struct command command_find_rows; /* are functions */
extern const struct command command_get;
extern const struct command command_help;
extern const struct command command_index_create;
extern const struct command command_index_drop;
extern const struct command command_history;
extern const struct command command_import;
extern const struct command command_init;
extern const struct command command_insert;
extern const struct command command_inspect;
extern const struct command command_reindex;
extern const struct command command_replace;
extern const struct command command_restore;
extern const struct command command_schema_get;
extern const struct command command_schema_set;
extern const struct command command_snapshot;
extern const struct command command_snapshot_restore;
extern const struct command command_snapshots;
extern const struct command command_status;
extern const struct command command_table_create;
extern const struct command command_table_drop;
extern const struct command command_tables;
extern const struct command command_update;
extern const struct command command_vacuum;
extern const struct command command_verify;

#define COMMAND_OPTIONS(list)                                                  \
    .options = (list), .n_options = sizeof(list) / sizeof((list)[0])

/* The options most commands begin with. */
#define OPTION_DATABASE                                                        \
    {                                                                          \
        .name = "database", .type = COMMAND_STRING, .offer = OFFER_DATABASE,   \
        .place = 1, .required = true,                                          \
        .help = "the database: prod, or guild/prod where there are several",   \
    }
#define OPTION_TABLE                                                           \
    {                                                                          \
        .name = "table", .type = COMMAND_STRING, .offer = OFFER_TABLE,         \
        .place = 2, .required = true, .help = "the table",                     \
    }
#define OPTION_KEY                                                             \
    {                                                                          \
        .name = "key", .type = COMMAND_STRING, .offer = OFFER_KEY, .place = 3, \
        .required = true, .help = "the row's primary key",                     \
    }
#define OPTION_IF_VERSION                                                      \
    {                                                                          \
        .name = "if_version", .type = COMMAND_INTEGER, .min = 1,               \
        .max = UINT32_MAX,                                                     \
        .help = "refuse unless this is the row's current version",             \
    }

#define OPTION_WHERE                                                           \
    {                                                                          \
        .name = "where_json", .type = COMMAND_JSON, .place = 3,                \
        .help =                                                                \
            "which rows: {\"role\":\"student\",\"age\":{\"$gte\":18}}; all "   \
            "if not given",                                                    \
    }
#define OPTION_SORT                                                            \
    {                                                                          \
        .name = "sort", .type = COMMAND_STRING, .offer = OFFER_FIELD,          \
        .place = 4,                                                            \
        .help = "fields by commas, - before one that goes down: -age,id",      \
    }
#define OPTION_LIMIT                                                           \
    {                                                                          \
        .name = "limit", .type = COMMAND_INTEGER, .min = 1, .max = INT32_MAX,  \
        .place = 5, .help = "at most so many rows",                            \
    }
#define OPTION_SKIP                                                            \
    {                                                                          \
        .name = "skip", .type = COMMAND_INTEGER, .min = 0, .max = INT32_MAX,   \
        .help = "not the first so many",                                       \
    }
#define OPTION_FIELDS                                                          \
    {                                                                          \
        .name = "fields", .type = COMMAND_STRING, .offer = OFFER_FIELD,        \
        .place = 6, .help = "these fields of each row alone, by commas",       \
    }

/* Values by name; the option exists, or it is a bug. */
bool call_has(const struct command_call *c, const char *option);
bool call_flag(const struct command_call *c, const char *option);
int64_t call_integer(const struct command_call *c, const char *option,
                     int64_t otherwise);
/* NULL where it was not given. */
const struct buf *call_text(const struct command_call *c, const char *option);
/* As text; otherwise where it was not given. */
const char *call_string(const struct command_call *c, const char *option,
                        const char *otherwise);

/* The guild and the namespace's name that an argument `prod` or `guild/prod`
 * means, whether the namespace exists or not. *name points into text. */
int call_split_database(struct command_call *c, const char *text,
                        struct database **d, const char **name,
                        struct err *err);

/* The namespace of the option `database`, its catalog read; a reference to
 * the caller. -ENOENT names those that are there. */
int call_namespace(struct command_call *c, struct namespace **out,
                   struct err *err);

/* The table of the options `database` and `table`; a reference to the caller.
 * open: brought into memory. */
int call_table(struct command_call *c, bool open, struct table **out,
               struct err *err);

/* The name of the file an option was given as; NULL: it has none. */
const char *call_file_name(const struct command_call *c, const char *option);

/* The query of the options where_json, sort, limit, skip and fields, those the
 * command has; a reference to the caller. */
int call_query(struct command_call *c, struct table *t, struct query **out,
               struct err *err);

/* To the sink's note() and say(), where it has them. */
void call_note(struct command_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void call_say(struct command_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

int call_put(struct command_call *c, const struct buf *json, struct err *err);
/* Has who asked had enough? */
bool call_stopped(struct command_call *c);

/* `"name":` and a value, with a comma before it unless it comes first. */
void json_add_name(struct buf *b, const char *name);
void json_add_string(struct buf *b, const char *name, const char *value);
void json_add_id(struct buf *b, const char *name, uint64_t id);
void json_add_int(struct buf *b, const char *name, int64_t value);
void json_add_bool(struct buf *b, const char *name, bool value);

struct snapshot_info;
/* snapshots.c; appended. */
void snapshot_describe(const struct snapshot_info *i, struct buf *b);

/* {"key":…,"version":…,"message_id":…} of a row that was written. */
int call_put_version(struct command_call *c, const struct row *r,
                     struct err *err);

/* {"database":…,"table":…,"field":…,"unique":…,"channel_id":…,"entries":…} of
 * an index that was made or written again. */
int call_put_index(struct command_call *c, struct table *t, const char *field,
                   struct err *err);

/* Destructors for AUTO_NS and AUTO_TABLE. */
void namespace_unref_at(struct namespace **ns);
void table_unref_at(struct table **t);
void row_unref_at(struct row **r);
#define AUTO_NAMESPACE __attribute__((cleanup(namespace_unref_at)))
#define AUTO_TABLE __attribute__((cleanup(table_unref_at)))
#define AUTO_ROW __attribute__((cleanup(row_unref_at)))
