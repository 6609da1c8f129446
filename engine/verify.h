/* Is all well? Everything is read again from the store, from the very first
 * message on and trusting nothing that is meant to save reading; what it says
 * is worked out anew and held against all that tells the same again: the open
 * table, row messages, snapshots, index channels, the catalog, the channels.
 *
 * What does not agree is a finding. docs/verify.md has the list of kinds, what
 * each means, what a person can do, and how repair heals it. Repair never
 * deletes what is told nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/engine.h"

enum finding_severity {
    FINDING_NOTE,    /* worth knowing; nothing to do */
    FINDING_WARNING, /* rows are right, something around them is not as it
                        should be */
    FINDING_ERROR,   /* rows, versions, or finding them, are at stake */
};

/* Everything is borrowed during the call. */
struct finding {
    const char *kind; /* a stable word: docs/verify.md */
    enum finding_severity severity;
    const char *table; /* its true name; NULL: about none, or none alone */
    const char *key;   /* not terminated; NULL */
    size_t key_len;
    uint64_t channel, message; /* where it is, or was; 0: nowhere */
    const char *text;          /* what is wrong: a sentence */
    const char *remedy;        /* what to do about it: a sentence */
    bool repairable; /* could it be; without options.repair: it would be tried
                      */
    bool repaired;   /* with options.repair: it has been healed */
};

/* "note", "warning", "error" */
const char *finding_severity_name(enum finding_severity s);

struct verify_options {
    bool repair;
    bool skip_files; /* the attachments of rows are not downloaded: only that
                        they are there is checked */
    /* How far it has come, now and then. May be NULL. */
    void (*progress)(void *arg, const char *text);
};

struct verify_summary {
    size_t tables, messages, records, rows, files;
    uint64_t file_bytes; /* downloaded */
    size_t errors, warnings, notes;
    size_t repaired; /* of errors and warnings */
    size_t unhealed; /* errors that were not repaired */
};

/* A negative errno ends the run with it. */
typedef int verify_found(void *arg, const struct finding *f, struct err *err);

/* One table, or (t NULL) the whole namespace with its catalog and channels.
 * Waits; as long as reading everything takes. found is called on the caller's
 * thread, no lock held. What is written meanwhile is no finding.
 *
 * 0: it was read to the end, whatever was found: see sum. Else the reason why
 * it could not be, with what was found until then. -EROFS: repair, read-only.
 */
int verify_wait(struct namespace *ns, struct table *t,
                const struct verify_options *o, verify_found *found, void *arg,
                struct verify_summary *sum, struct err *err);
