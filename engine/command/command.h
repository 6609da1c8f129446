/* The one table of commands. Each is a name, typed options, help and a run();
 * the command line shows it as `dbcord table-create`, Discord as
 * `/dbc_table_create`, the documents as a section. Nothing in here knows which
 * of them asks: arguments come in as text and are checked in one place,
 * results go out as JSON objects through a sink.
 *
 * A call is made, filled, run and released on one thread, which may wait on
 * the network meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct database;
struct engine;
struct command_call;

enum command_type {
    COMMAND_STRING,
    COMMAND_INTEGER, /* min to max */
    COMMAND_BOOLEAN, /* true or false; a flag on the command line */
    COMMAND_JSON,    /* the text of an object */
    COMMAND_FILE,    /* the bytes of a file: a path or -, an attachment */
    COMMAND_CHOICE,  /* one of choices */
};

/* What a value names, for who completes what is being typed. */
enum command_offer {
    OFFER_NOTHING,
    OFFER_COMMAND,
    OFFER_DATABASE,
    OFFER_TABLE,
    OFFER_FIELD, /* one, or several by commas, each perhaps with a - */
    OFFER_INDEX, /* a field that has an index */
    OFFER_KEY,
    OFFER_VERSION, /* of the row that the option key names */
    OFFER_LABEL,   /* a snapshot's */
};

struct command_option {
    const char *name; /* [a-z_]+ */
    const char *help; /* at most 100 characters, as Discord wants it */
    enum command_type type;
    enum command_offer offer;
    int place; /* from 1: its place among the positional arguments; 0: it is
                  given by name alone */
    bool required;
    const char *instead; /* not required where this option is given; never
                            both. NULL for none */
    const char *const *choices; /* CHOICE: ends in NULL */
    int64_t min, max;           /* INTEGER */
};

enum command_permission {
    COMMAND_FOR_MANAGERS, /* in Discord, by default: who may manage the server
                           */
    COMMAND_FOR_ALL,
};

struct command {
    const char *name;    /* [a-z_]+ */
    const char *summary; /* at most 100 characters, no full stop */
    const char *details; /* more for the documents, or NULL */
    const char *example; /* arguments as typed in a shell, or NULL */
    const struct command_option *options;
    size_t n_options;
    enum command_permission permission;
    bool many;    /* any number of results; else one object */
    bool columns; /* a list for people to look at, rather than rows */
    bool writes;  /* needs an engine that is not read-only */
    const char *writes_with; /* the BOOLEAN option with which it does; NULL */
    bool destructive;        /* cannot be undone: a person is asked first */
    bool offline;            /* runs without an engine */
    bool stoppable;          /* looks at the sink's stopped() */
    int (*run)(struct command_call *c, struct err *err);
};

size_t command_count(void);
const struct command *command_at(size_t i);
/* By its name, with '_' or '-'. NULL: there is none. */
const struct command *command_find(const char *name);
/* By its name, with '_' or '-'; SIZE_MAX: there is none. */
size_t command_option_index(const struct command *c, const char *name);

/* Where results go. The receiver's struct starts with it. */
struct command_sink {
    /* One JSON object, borrowed. A negative errno ends the command. */
    int (*put)(struct command_sink *s, const char *json, size_t len,
               struct err *err);
    /* How far a long operation has come, or a remark: each takes the place of
     * the one before. May be NULL. */
    void (*note)(struct command_sink *s, const char *text);
    /* A sentence that must be read beside the result or the error: one of
     * several mistakes in a file. May be NULL. */
    void (*say)(struct command_sink *s, const char *text);
    /* The result is a file: first its name and MIME type, once and instead of
     * put, then its bytes, piece by piece and perhaps none. Both NULL: such a
     * command puts its rows one by one. */
    int (*file)(struct command_sink *s, const char *name, const char *type,
                struct err *err);
    int (*data)(struct command_sink *s, const char *data, size_t len,
                struct err *err);
    /* Has who asked had enough? A stoppable command looks now and then, and
     * ends with -EINTR. May be NULL. */
    bool (*stopped)(struct command_sink *s);
};

/* --- calls ---------------------------------------------------------------- */

struct command_value {
    bool given;
    bool flag;       /* BOOLEAN */
    int64_t integer; /* INTEGER */
    struct buf text; /* all others */
    char *name;      /* FILE: the file's; NULL: it has none */
};

#define COMMAND_OPTIONS_MAX 12

struct command_call {
    const struct command *command;
    struct engine *engine;     /* NULL where the command is offline */
    struct database *database; /* the one guild that names mean and that may
                                  be touched or told of; NULL: any of the
                                  engine's */
    struct command_sink *sink; /* set before command_run() */
    const char *by;            /* who asks; NULL: the engine's own name */
    struct command_value values[COMMAND_OPTIONS_MAX]; /* as the options */
};

void command_call_init(struct command_call *c, const struct command *command);
void command_call_release(struct command_call *c);

/* Sets option i from what was typed, read from the file or attached: -EINVAL
 * where it is not of the option's type, or given twice. */
int command_set(struct command_call *c, size_t i, const char *text, size_t len,
                struct err *err);

/* The same for the bytes of a file, which are taken out of *bytes, and its name
 * (NULL: none). */
int command_set_file(struct command_call *c, size_t i, const char *name,
                     struct buf *bytes, struct err *err);

/* Is all there that must be, and nothing that excludes another? -EINVAL. Until
 * then nothing has been asked of the engine. */
int command_check(const struct command_call *c, struct err *err);

/* Does it need an engine that is not read-only? */
bool command_writes(const struct command_call *c);

/* Checks, and runs it. Errors are those of engine.h. */
int command_run(struct command_call *c, struct err *err);

/* Does option i have to be given, with what is given already? */
bool command_option_required(const struct command_call *c, size_t i);
